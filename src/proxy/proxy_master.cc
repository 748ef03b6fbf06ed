// The listening sockets outlive every plane, so that clients of one that died wait in the accept
// queue until the next one is up.
#include "proxy/proxy_master.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/files.h"
#include "io/linux/socket.h"
#include "proxy/plane_main.h"
#include "proxy/predecessor.h"

namespace nines::proxy {

namespace {

constexpr Duration kHardStopPatience = std::chrono::seconds(2);

Result<void> give_to_owner(const StatsSocketConfig& socket) {
  if (socket.user.empty() && socket.group.empty()) return {};
  GlobalConfig names;
  names.user = socket.user;
  names.group = socket.group;
  const Identity identity = TRY(find_identity(names));
  const uid_t user = socket.user.empty() ? static_cast<uid_t>(-1) : *identity.user;
  const gid_t group = socket.group.empty() ? static_cast<gid_t>(-1) : *identity.group;
  if (::chown(socket.bind.address.path().c_str(), user, group) != 0) {
    return Error::from_errno(errno, "cannot give away " + socket.bind.address.path());
  }
  return {};
}

}  // namespace

ProxyMaster::ProxyMaster(io::EpollLoop& loop, io::Log& log, const MasterOptions& options,
                         MasterConfig loaded, bool daemon, ProxyObserver& observer)
    : loop_(loop),
      log_(log),
      options_(options),
      loaded_(std::move(loaded)),
      daemon_(daemon),
      observer_(observer),
      plane_("proxy", node::PlanePolicy{}, loop, log, *this) {}

ProxyMaster::~ProxyMaster() {
  sockets_.clear();
  fresh_.clear();
  remove_unused_paths();
}

Result<void> ProxyMaster::bind_all() {
  predecessors_ = listeners_of(options_.finish_pids);
  predecessors_.merge(listeners_of(options_.end_pids));
  auto opened = bind(loaded_.config, {});
  predecessors_.clear();
  sockets_ = TRY(std::move(opened));
  return {};
}

Result<void> ProxyMaster::start() { return plane_.start(); }

void ProxyMaster::reload() {
  if (ending_) return;
  if (reloading_ || !serving_) {
    reload_again_ = true;  // once the plane has answered; the newest text counts
    return;
  }
  observer_.on_reload_begun();
  const auto sent = [&]() -> Result<void> {
    io::LinuxFiles files;
    reloading_ = TRY(load_again(files, options_));
    fresh_ = TRY(bind(reloading_->config, sockets_));
    TRY(send_listeners(fresh_));
    return send_configuration(*reloading_);
  }();
  if (sent) return;
  log_.write(io::Severity::kAlert, not_reloaded(sent.error().message()));
  forget_reload();
  tell_bad_reload(sent.error().message());
}

void ProxyMaster::drain() {
  if (auto sent = plane_.send({node::ChannelMessage::Kind::kDrain, "", {}}); !sent) {
    loop_.post([this] { observer_.on_drained(); });  // nothing is under way where nothing runs
  }
}

void ProxyMaster::end_drain() {
  // Without a plane there is nothing left to end.
  static_cast<void>(plane_.send({node::ChannelMessage::Kind::kEndDrain, "", {}}).has_value());
}

void ProxyMaster::set_share(const node::HostShare& share) {
  if (share.addresses.empty()) return;
  const std::string host = share.addresses.front().ip_text();
  // One that is on its way back is whole by the time another plane begins.
  if (share.kind == node::HostShare::Kind::kNone || share.kind == node::HostShare::Kind::kGone) {
    shares_[host] = share;
  } else {
    shares_.erase(host);
  }
  if (serving_) tell_share(share);
}

void ProxyMaster::forget_shares() {
  for (auto& [host, share] : std::exchange(shares_, {})) {
    share.kind = node::HostShare::Kind::kAll;
    if (serving_) tell_share(share);
  }
}

void ProxyMaster::set_member_word(const node::MemberWord& word) {
  if (!serving_) return;
  const auto sent = plane_.send({node::ChannelMessage::Kind::kMember, node::encode(word), {}});
  if (!sent) log_.write(io::Severity::kError, sent.error().message());
}

void ProxyMaster::tell_share(const node::HostShare& share) {
  const auto sent = plane_.send({node::ChannelMessage::Kind::kShare, node::encode(share), {}});
  if (!sent) log_.write(io::Severity::kError, sent.error().message());
}

void ProxyMaster::stop_softly() {
  ending_ = true;
  sockets_.clear();
  plane_.expect_end();
  if (!plane_.alive()) return observer_.on_proxy_ended(true);
  if (!plane_.send({node::ChannelMessage::Kind::kStopSoftly, "", {}})) stop_hard();
}

void ProxyMaster::stop_hard() {
  ending_ = true;
  sockets_.clear();
  if (!plane_.alive()) {
    plane_.expect_end();
    return observer_.on_proxy_ended(true);
  }
  plane_.end(kHardStopPatience);
  plane_.close_channel();  // the plane ends by itself
}

// ---- Listening sockets -------------------------------------------------------------------------

// Opens what `config` needs and `have` does not hold.
Result<ListenerSockets> ProxyMaster::bind(const Config& config, const ListenerSockets& have) {
  ListenerSockets opened;
  const auto open = [&](const BindConfig& bind, const std::string& owner) -> Result<void> {
    const std::string key = listener_key(bind);
    if (have.contains(key) || opened.contains(key)) return {};
    if (bind.inherited_descriptor) {
      const int copy = ::fcntl(*bind.inherited_descriptor, F_DUPFD_CLOEXEC, 3);
      if (copy < 0) return Error::from_errno(errno, owner + ": cannot use " + key);
      ::fcntl(copy, F_SETFL, ::fcntl(copy, F_GETFL) | O_NONBLOCK);
      opened[key] = io::Descriptor(copy);
      return {};
    }
    if (auto left = predecessors_.extract(key)) {
      opened[key] = std::move(left.mapped());
      return {};
    }
    auto socket = open_socket(bind, key);
    if (!socket) {
      return std::move(socket).error().with_context(bind.place.file + ":" +
                                                    std::to_string(bind.place.line) + ": " + owner);
    }
    opened[key] = *std::move(socket);
    return {};
  };
  for (const ProxyConfig& proxy : config.proxies) {
    if (proxy.disabled || !proxy.frontend) continue;
    for (const BindConfig& bind : proxy.binds) TRY(open(bind, "proxy " + proxy.name));
  }
  for (const auto& socket : config.global.stats_sockets) {
    TRY(open(socket.bind, "stats socket"));
    if (socket.bind.address.family() == SocketAddress::Family::kUnix) {
      TRY(give_to_owner(socket));
    }
  }
  return opened;
}

Result<io::Descriptor> ProxyMaster::open_socket(const BindConfig& bind, const std::string& key) {
  const io::ListenOptions options{.backlog = bind.backlog.value_or(0), .unix_mode = bind.unix_mode};
  if (bind.address.family() != SocketAddress::Family::kUnix) {
    return io::open_listener(bind.address, options);
  }
  const std::string& path = bind.address.path();
  const bool replaces = !options_.finish_pids.empty() || !options_.end_pids.empty();
  // A predecessor that still listens there loses the path, at once and without a gap.
  const std::string at = replaces ? path + "." + std::to_string(::getpid()) : path;
  io::Descriptor socket = TRY(io::open_listener(SocketAddress::unix_path(at), options));
  if (replaces && ::rename(at.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(at.c_str());
    return Error::from_errno(error, "cannot put a socket at " + path);
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) paths_[key] = {path, status.st_dev, status.st_ino};
  return socket;
}

// A path is removed with its listener, unless somebody else has put a socket there since.
void ProxyMaster::remove_unused_paths() {
  std::erase_if(paths_, [this](const auto& entry) {
    const auto& [key, own] = entry;
    if (sockets_.contains(key) || fresh_.contains(key)) return false;
    struct stat status {};
    if (::lstat(own.path.c_str(), &status) == 0 && status.st_dev == own.device &&
        status.st_ino == own.inode) {
      ::unlink(own.path.c_str());
    }
    return true;
  });
}

void ProxyMaster::drop_unused() {
  std::vector<std::string> used;
  for (const ProxyConfig& proxy : loaded_.config.proxies) {
    if (proxy.disabled || !proxy.frontend) continue;
    for (const BindConfig& bind : proxy.binds) used.push_back(listener_key(bind));
  }
  for (const auto& socket : loaded_.config.global.stats_sockets) {
    used.push_back(listener_key(socket.bind));
  }
  std::erase_if(sockets_, [&](const auto& entry) {
    return std::find(used.begin(), used.end(), entry.first) == used.end();
  });
  remove_unused_paths();
}

// ---- The plane ---------------------------------------------------------------------------------

int ProxyMaster::run_plane() { return run_plane_main(options_, daemon_); }

Result<void> ProxyMaster::on_plane_started() {
  serving_ = false;
  TRY(send_listeners(sockets_));
  return send_configuration(loaded_);
}

Result<void> ProxyMaster::send_listeners(const ListenerSockets& sockets) {
  for (const auto& [key, socket] : sockets) {
    TRY(plane_.send({node::ChannelMessage::Kind::kListener, key,
                     io::Descriptor(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 3))}));
  }
  return {};
}

Result<void> ProxyMaster::send_configuration(const MasterConfig& config) {
  if (!config.credentials.empty()) {
    io::Descriptor packed = TRY(node::pack_texts(config.credentials));
    TRY(plane_.send({node::ChannelMessage::Kind::kCredentials, "", std::move(packed)}));
  }
  return plane_.send(
      {node::ChannelMessage::Kind::kConfigure, "", TRY(node::pack_texts(config.texts))});
}

void ProxyMaster::on_plane_message(node::ChannelMessage message) {
  switch (message.kind) {
    case node::ChannelMessage::Kind::kTaken:
      return on_taken();
    case node::ChannelMessage::Kind::kRefused:
      return on_refused(message.text);
    case node::ChannelMessage::Kind::kDrained:
      return observer_.on_drained();
    case node::ChannelMessage::Kind::kVerdict:
      verdicts_ = std::move(message.text);
      return;
    default:
      return;  // ours to say, not to hear
  }
}

void ProxyMaster::on_taken() {
  serving_ = true;
  plane_.served();
  if (!reloading_) {
    for (const auto& [host, share] : shares_) tell_share(share);
  }
  if (!std::exchange(ever_taken_, true)) observer_.on_proxy_started();
  if (reloading_) {
    log_.write(io::Severity::kNotice, "reloaded: the new configuration runs");
    loaded_ = *std::move(reloading_);
    reloading_.reset();
    for (auto& [key, socket] : fresh_) sockets_[key] = std::move(socket);
    fresh_.clear();
    drop_unused();
    observer_.on_reload_ended(true);
  }
  reload_if_asked_meanwhile();
}

void ProxyMaster::on_refused(const std::string& reason) {
  if (reloading_) {
    log_.write(io::Severity::kAlert, not_reloaded(reason));
    forget_reload();
    return reload_if_asked_meanwhile();
  }
  log_.write(io::Severity::kAlert, reason);
}

void ProxyMaster::forget_reload() {
  reloading_.reset();
  fresh_.clear();
  remove_unused_paths();
  observer_.on_reload_ended(false);
}

void ProxyMaster::reload_if_asked_meanwhile() {
  if (std::exchange(reload_again_, false)) reload();
}

// The plane counts it and writes it to the configuration's logs: a daemon has no others.
void ProxyMaster::tell_bad_reload(const std::string& reason) {
  const auto sent = plane_.send(
      {node::ChannelMessage::Kind::kBadReload, reason.substr(0, node::kChannelTextMax), {}});
  if (!sent) log_.write(io::Severity::kError, sent.error().message());
}

void ProxyMaster::on_plane_died(bool asked_for) {
  serving_ = false;
  verdicts_.clear();
  if (reloading_) {
    log_.write(io::Severity::kAlert, "not reloaded: the plane died while taking it");
    forget_reload();
  }
  if (ending_ || !ever_taken_) {
    if (!asked_for) plane_.expect_end();
    observer_.on_proxy_ended(ending_);
  }
}

}  // namespace nines::proxy
