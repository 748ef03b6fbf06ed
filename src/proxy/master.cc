// Start: read, check, bind, fork. Then one loop over signals and the plane's end. The master holds
// the listening sockets, so that a plane that dies leaves its clients in the accept queue until the
// next one is up.
#include "proxy/master.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "io/linux/socket.h"
#include "io/log.h"
#include "proxy/config_load.h"
#include "proxy/plane.h"
#include "proxy/plane_channel.h"
#include "text/diagnostics.h"

namespace nines::proxy {

namespace {

// A plane that dies again and again is restarted ever more slowly.
constexpr Duration kRestartDelayMin = std::chrono::milliseconds(10);
constexpr Duration kRestartDelayMax = std::chrono::seconds(5);
constexpr Duration kHealthyAfter = std::chrono::seconds(10);  // then the delay starts afresh
constexpr int kReservedDescriptors = 100;  // for what is no connection: listeners, loops, logs
constexpr Duration kHardStopPatience = std::chrono::seconds(2);

struct Loaded {
  NamedTexts texts;
  std::vector<text::SourceFile> files;
  Config config;
};

std::string environment_of_config(const NamedTexts& texts) {
  std::string list;
  for (const auto& [name, content] : texts) {
    if (!list.empty()) list += ';';
    list += name;
  }
  return list;
}

// "FILE:LINE:COLUMN: error: ..." of the first mistake, for a log's single line.
std::string first_error(std::string_view rendered) {
  constexpr std::string_view kMark = ": error: ";
  const auto mark = rendered.find(kMark);
  if (mark == std::string_view::npos) return "the configuration has errors";
  const auto begin = rendered.rfind('\n', mark) + 1;  // npos + 1 is 0
  return std::string(rendered.substr(begin, rendered.find('\n', mark) - begin));
}

std::string not_reloaded(const std::string& reason) {
  return "not reloaded, the running configuration stays: " + reason;
}

bool on_terminal() { return ::isatty(STDERR_FILENO) == 1; }

// "-f" names files, or directories whose *.cfg files count in bytewise order.
Result<NamedTexts> read_texts(io::Files& files, const std::vector<std::string>& paths) {
  NamedTexts texts;
  for (const std::string& path : paths) {
    if (!files.is_directory(path)) {
      texts.emplace_back(path, TRY(files.read(path)));
      continue;
    }
    for (const std::string& name : TRY(files.list(path))) {
      if (!name.ends_with(".cfg") || name.starts_with('.')) continue;
      const std::string full = path + (path.ends_with('/') ? "" : "/") + name;
      texts.emplace_back(full, TRY(files.read(full)));
    }
  }
  if (texts.empty()) return Error(ErrorCode::kNotFound, "no configuration file was given");
  return texts;
}

LoadedConfig parse(const std::vector<text::SourceFile>& files, const NamedTexts& texts,
                   const MasterOptions& options) {
  // The plane reads the same words: it has the master's environment.
  Environment environment = process_environment();
  environment["HAPROXY_CFGFILES"] = environment_of_config(texts);
  LoadedConfig loaded = load_config(files, std::move(environment));
  if (options.maxconn) loaded.config.global.maxconn = *options.maxconn;
  return loaded;
}

std::vector<text::SourceFile> as_sources(const NamedTexts& texts) {
  std::vector<text::SourceFile> files;
  for (const auto& [name, content] : texts) files.emplace_back(name, content);
  return files;
}

// ---- The plane's process ----------------------------------------------------------------------

struct Identity {
  std::optional<uid_t> user;
  std::optional<gid_t> group;
};

Result<Identity> find_identity(const GlobalConfig& global) {
  Identity identity;
  if (global.user_id) identity.user = *global.user_id;
  if (global.group_id) identity.group = *global.group_id;
  if (!global.user.empty()) {
    const passwd* const entry = ::getpwnam(global.user.c_str());
    if (entry == nullptr) {
      return Error(ErrorCode::kNotFound, "cannot find the user '" + global.user + "'");
    }
    identity.user = entry->pw_uid;
    if (global.group.empty() && !identity.group) identity.group = entry->pw_gid;
  }
  if (!global.group.empty()) {
    const group* const entry = ::getgrnam(global.group.c_str());
    if (entry == nullptr) {
      return Error(ErrorCode::kNotFound, "cannot find the group '" + global.group + "'");
    }
    identity.group = entry->gr_gid;
  }
  return identity;
}

// From here on a fault in what parses the network's bytes cannot touch the host.
Result<void> drop_privileges(const GlobalConfig& global, const Identity& identity) {
  if (!global.chroot.empty()) {
    if (::chroot(global.chroot.c_str()) != 0 || ::chdir("/") != 0) {
      return Error::from_errno(errno, "cannot chroot to " + global.chroot);
    }
  }
  if (::geteuid() == 0 && (identity.user || identity.group)) {
    if (::setgroups(0, nullptr) != 0) return Error::from_errno(errno, "setgroups");
    if (identity.group && ::setgid(*identity.group) != 0) {
      return Error::from_errno(errno, "cannot become group " + std::to_string(*identity.group));
    }
    if (identity.user && ::setuid(*identity.user) != 0) {
      return Error::from_errno(errno, "cannot become user " + std::to_string(*identity.user));
    }
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Error::from_errno(errno, "prctl(PR_SET_NO_NEW_PRIVS)");
  }
  return {};
}

// A connection of a client and one to a server for each of `maxconn` (0: not configured). The hard
// limit is raised too where that is allowed; where not, the newest clients will wait.
void raise_descriptor_limit(int maxconn, io::Log& log) {
  const auto wanted = static_cast<rlim_t>(maxconn) * 2 + kReservedDescriptors;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  if (maxconn > 0 && limit.rlim_max < wanted) {
    const rlimit higher{wanted, wanted};
    if (::setrlimit(RLIMIT_NOFILE, &higher) == 0) return;
    log.write(io::Severity::kWarning, "fewer descriptors than 'maxconn' needs",
              {{"wanted", std::to_string(wanted)}, {"limit", std::to_string(limit.rlim_max)}});
  }
  if (limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));  // the soft limit serves as well
}

// The plane's main thread. Ends when the master says so, or is gone.
class PlaneProcess {
 public:
  // `null` is /dev/null when the standard descriptors are to be let go of, else none.
  PlaneProcess(io::EpollLoop& loop, io::Log& log, int channel, const MasterOptions& options,
               io::Descriptor null)
      : loop_(loop),
        log_(log),
        channel_(channel),
        options_(options),
        null_(std::move(null)),
        plane_(loop, log,
               Plane::Options{
                   .pid = ::getpid(), .version = options.version, .name = options.product}) {}

  int run() {
    loop_.watch_descriptor(channel_, EPOLLIN, [this](std::uint32_t) { on_channel(); });
    loop_.run();
    return exit_code_;
  }

 private:
  void on_channel() {
    while (true) {
      auto message = receive_message(channel_);
      if (!message) {
        if (message.error().code() == ErrorCode::kUnavailable) return;
        exit_code_ = 0;  // a plane ends with its master
        loop_.stop();
        return;
      }
      switch (message->kind) {
        case ChannelMessage::Kind::kListener:
          sockets_[message->text] = std::move(message->descriptor);
          break;
        case ChannelMessage::Kind::kConfigure:
          configure(message->descriptor.get());
          break;
        case ChannelMessage::Kind::kStopSoftly:
          if (!started_) return loop_.stop();
          plane_.stop_softly([this] {
            exit_code_ = 0;
            loop_.stop();
          });
          break;
        case ChannelMessage::Kind::kBadReload:
          if (started_) plane_.on_failed_reload(not_reloaded(message->text));
          break;
        case ChannelMessage::Kind::kTaken:
        case ChannelMessage::Kind::kRefused:
          break;  // ours to say, not to hear
      }
    }
  }

  void configure(int descriptor) {
    const auto result = [&]() -> Result<void> {
      ListenerSockets sockets = std::exchange(sockets_, {});  // closed if refused
      const NamedTexts texts = TRY(unpack_texts(descriptor));
      const auto files = as_sources(texts);
      LoadedConfig loaded = parse(files, texts, options_);
      if (!loaded.ok()) return Error(ErrorCode::kInvalid, "the configuration has errors");
      if (started_) return plane_.reload(std::move(loaded.config), std::move(sockets));
      const GlobalConfig global = loaded.config.global;
      raise_descriptor_limit(global.maxconn, log_);
      const Identity identity = TRY(find_identity(global));
      TRY(drop_privileges(global, identity));
      TRY(plane_.start(std::move(loaded.config), std::move(sockets)));
      started_ = true;
      if (null_) {
        for (const int standard : {0, 1, 2}) ::dup2(null_.get(), standard);
        null_.reset();
      }
      return {};
    }();
    ChannelMessage answer;
    if (!result) {
      answer.kind = ChannelMessage::Kind::kRefused;
      answer.text = result.error().message().substr(0, kChannelTextMax);
      if (started_) {
        plane_.on_failed_reload(not_reloaded(answer.text));
      } else {
        loop_.stop();
      }
    }
    if (auto sent = send_message(channel_, answer); !sent) {
      log_.write(io::Severity::kError, sent.error().message());
    }
  }

  io::EpollLoop& loop_;
  io::Log& log_;
  int channel_;
  const MasterOptions& options_;
  io::Descriptor null_;
  Plane plane_;
  bool started_ = false;
  int exit_code_ = kExitBad;
  ListenerSockets sockets_;
};

std::unique_ptr<io::Logger> make_log(io::EpollLoop& loop, bool quiet) {
  auto log = std::make_unique<io::Logger>([&loop] { return loop.wall_time(); });
  if (!quiet) {
    const char* const journal = std::getenv("JOURNAL_STREAM");
    log->add(io::open_stderr_or_journal("nines", journal != nullptr ? journal : ""), {});
  }
  return log;
}

[[noreturn]] void run_plane_process(io::Descriptor inherited_channel, const MasterOptions& options,
                                    bool daemon) {
  ::prctl(PR_SET_NAME, "nines-proxy", 0, 0, 0);
  // Signals are the master's business; the plane hears of them through the channel. SIGTERM still
  // ends a plane that does not answer.
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int number : {SIGHUP, SIGUSR1, SIGUSR2, SIGINT}) sigaddset(&blocked, number);
  ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
  // Nothing else of the master's stays open here: a listener that it lets go of must be gone.
  constexpr int kChannel = 3;
  const int inherited = inherited_channel.release();
  if (inherited != kChannel) ::dup3(inherited, kChannel, O_CLOEXEC);
  ::close_range(kChannel + 1, ~0u, 0);
  io::Descriptor null;
  if (daemon) null = io::Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC));
  auto loop = io::EpollLoop::create();
  if (!loop) ::_exit(kExitBad);
  int code = kExitBad;
  {
    auto log = make_log(**loop, options.quiet);
    static_cast<void>(io::local_utc_offset((*loop)->wall_time()));  // reads the zone, before chroot
    PlaneProcess process(**loop, *log, kChannel, options, std::move(null));
    code = process.run();
  }
  ::_exit(code);
}

// ---- What a predecessor leaves us -------------------------------------------------------------

std::string program_of(const std::string& process) {
  char path[4096];
  const ssize_t size = ::readlink(("/proc/" + process + "/exe").c_str(), path, sizeof path);
  std::string_view name(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  constexpr std::string_view kDeleted = " (deleted)";  // an upgrade replaced the file
  if (name.ends_with(kDeleted)) name.remove_suffix(kDeleted.size());
  return std::string(name.substr(name.rfind('/') + 1));
}

// The listening TCP sockets of the processes that we take over from ("-sf"), by listener_key(), as
// far as the kernel lets us have them (ptrace(2), access mode checks). With the very sockets no
// connection is lost: a socket of our own beside theirs (SO_REUSEPORT) would leave those in their
// queue to be reset when they close it. Only from a program like ours: another may have registered
// its sockets where they would go on waking it.
ListenerSockets listeners_of(const std::vector<int>& pids) {
  ListenerSockets found;
  for (const int pid : pids) {
    const std::string process = std::to_string(pid);
    const io::Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!handle || program_of(process).empty() || program_of(process) != program_of("self")) {
      continue;
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(
        ::opendir(("/proc/" + process + "/fd").c_str()), ::closedir);
    if (folder == nullptr) continue;
    while (const dirent* const entry = ::readdir(folder.get())) {
      if (entry->d_name[0] == '.') continue;
      io::Descriptor copy(
          static_cast<int>(::syscall(SYS_pidfd_getfd, handle.get(), std::atoi(entry->d_name), 0)));
      int listening = 0;
      socklen_t size = sizeof listening;
      if (!copy || ::getsockopt(copy.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
          listening == 0) {
        continue;
      }
      const auto at = io::local_address(copy.get());
      if (at && at->is_ip()) found[at->text()] = std::move(copy);
    }
  }
  return found;
}

// Tells the service manager how we are (sd_notify(3)); units of Type=notify, which Debian's haproxy
// has, count as started only then. Nobody there, or no answer: no matter.
void notify_service_manager(const std::string& state) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || path[0] == '\0') return;
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof at.sun_path) return;
  std::memcpy(at.sun_path, path, length);
  if (path[0] == '@') at.sun_path[0] = '\0';  // in the abstract namespace
  const io::Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return;
  static_cast<void>(::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&at),
                             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)));
}

std::string now_of_service_manager() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1'000);
}

// ---- The master -------------------------------------------------------------------------------

class Master : private Timer {
 public:
  Master(io::EpollLoop& loop, io::Log& log, const MasterOptions& options, Loaded loaded,
         bool daemon)
      : loop_(loop), log_(log), options_(options), loaded_(std::move(loaded)), daemon_(daemon) {}

  ~Master() override {
    sockets_.clear();
    fresh_.clear();
    remove_unused_paths();
  }
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

  Result<void> bind_all() {
    predecessors_ = listeners_of(options_.finish_pids);
    predecessors_.merge(listeners_of(options_.end_pids));
    auto opened = bind(loaded_.config, {});
    predecessors_.clear();
    sockets_ = TRY(std::move(opened));
    return {};
  }

  // Starts the plane; on_started()'s callback runs once it has taken the configuration.
  Result<void> start() { return spawn(); }

  void on_started(std::function<void()> callback) { started_callback_ = std::move(callback); }

  // Before anybody may think that we run: the default action of most would end us.
  void watch_signals() {
    for (const int number : {SIGHUP, SIGUSR2}) {
      CHECK(loop_.on_signal(number, [this] { reload(); }).has_value());
    }
    CHECK(loop_.on_signal(SIGUSR1, [this] { stop_softly(); }).has_value());
    CHECK(loop_.on_signal(SIGTERM, [this] { stop_hard(kExitGood); }).has_value());
    CHECK(
        loop_
            .on_signal(SIGINT,
                       [this] { stop_hard(options_.master_worker ? kExitInterrupted : kExitGood); })
            .has_value());
    ::signal(SIGPIPE, SIG_IGN);  // the plane inherits this
  }

  int run() {
    loop_.run();
    return exit_code_;
  }

 private:
  // Opens what `config` needs and `have` does not hold.
  Result<ListenerSockets> bind(const Config& config, const ListenerSockets& have) {
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
        return std::move(socket).error().with_context(
            bind.place.file + ":" + std::to_string(bind.place.line) + ": " + owner);
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

  Result<io::Descriptor> open_socket(const BindConfig& bind, const std::string& key) {
    const io::ListenOptions options{.backlog = bind.backlog.value_or(0),
                                    .unix_mode = bind.unix_mode};
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
  void remove_unused_paths() {
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

  static Result<void> give_to_owner(const StatsSocketConfig& socket) {
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

  Result<void> spawn() {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
      return Error::from_errno(errno, "socketpair");
    }
    io::Descriptor ours(pair[0]), theirs(pair[1]);
    const pid_t child = ::fork();
    if (child < 0) return Error::from_errno(errno, "fork");
    if (child == 0) run_plane_process(std::move(theirs), options_, daemon_);
    theirs.reset();
    serving_ = false;
    plane_pid_ = child;
    plane_started_ = loop_.now();
    channel_ = std::move(ours);
    pid_descriptor_ = io::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    if (!pid_descriptor_) return Error::from_errno(errno, "pidfd_open");
    pid_watch_ = loop_.watch_descriptor(pid_descriptor_.get(), EPOLLIN,
                                        [this](std::uint32_t) { on_plane_exit(); });
    channel_watch_ =
        loop_.watch_descriptor(channel_.get(), EPOLLIN, [this](std::uint32_t) { on_channel(); });
    TRY(send_listeners(sockets_));
    return send_configuration(loaded_.texts);
  }

  Result<void> send_listeners(const ListenerSockets& sockets) {
    for (const auto& [key, socket] : sockets) {
      ChannelMessage message{ChannelMessage::Kind::kListener, key,
                             io::Descriptor(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 3))};
      TRY(send_message(channel_.get(), message));
    }
    return {};
  }

  Result<void> send_configuration(const NamedTexts& texts) {
    ChannelMessage message{ChannelMessage::Kind::kConfigure, "", TRY(pack_texts(texts))};
    return send_message(channel_.get(), message);
  }

  void on_channel() {
    while (channel_) {
      auto message = receive_message(channel_.get());
      if (!message) {
        if (message.error().code() != ErrorCode::kUnavailable) close_channel();
        return;
      }
      if (message->kind == ChannelMessage::Kind::kTaken) {
        on_taken();
      } else if (message->kind == ChannelMessage::Kind::kRefused) {
        on_refused(message->text);
      }
    }
  }

  void on_taken() {
    serving_ = true;
    if (!ever_taken_) {
      ever_taken_ = true;
      if (started_callback_) started_callback_();
      notify_service_manager("READY=1\nMAINPID=" + std::to_string(::getpid()) + "\n");
    }
    if (reloading_) {
      log_.write(io::Severity::kNotice, "reloaded: the new configuration runs");
      loaded_ = *std::move(reloading_);
      reloading_.reset();
      for (auto& [key, socket] : fresh_) sockets_[key] = std::move(socket);
      fresh_.clear();
      drop_unused();
      notify_service_manager("READY=1\n");
    }
    reload_if_asked_meanwhile();
  }

  void on_refused(const std::string& reason) {
    if (reloading_) {
      log_.write(io::Severity::kAlert, not_reloaded(reason));
      forget_reload();
      reload_if_asked_meanwhile();
      return;
    }
    log_.write(io::Severity::kAlert, reason);
    if (!ever_taken_) {
      exit_code_ = kExitBad;
      ending_ = true;
    }
  }

  void forget_reload() {
    notify_service_manager("READY=1\n");  // what ran before runs on
    reloading_.reset();
    fresh_.clear();
    remove_unused_paths();
  }

  void reload_if_asked_meanwhile() {
    if (std::exchange(reload_again_, false)) reload();
  }

  void drop_unused() {
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

  void reload() {
    if (ending_) return;
    if (reloading_ || !serving_) {
      reload_again_ = true;  // once the plane has answered; the newest text counts
      return;
    }
    notify_service_manager("RELOADING=1\nMONOTONIC_USEC=" + now_of_service_manager() + "\n");
    const auto sent = [&]() -> Result<void> {
      io::LinuxFiles files;
      reloading_ = TRY(load_again(files));
      fresh_ = TRY(bind(reloading_->config, sockets_));
      TRY(send_listeners(fresh_));
      return send_configuration(reloading_->texts);
    }();
    if (sent) return;
    log_.write(io::Severity::kAlert, not_reloaded(sent.error().message()));
    forget_reload();
    tell_bad_reload(sent.error().message());
  }

  Result<Loaded> load_again(io::Files& files) {
    Loaded loaded;
    loaded.texts = TRY(read_texts(files, options_.config_paths));
    loaded.files = as_sources(loaded.texts);
    LoadedConfig parsed = parse(loaded.files, loaded.texts, options_);
    if (!parsed.diagnostics.all().empty() && !options_.quiet) {
      std::fputs(
          text::render_text(parsed.diagnostics, loaded.files, {.color = on_terminal()}).c_str(),
          stderr);
    }
    if (!parsed.ok()) {
      const std::size_t more = std::max<std::size_t>(parsed.diagnostics.errors(), 1) - 1;
      return Error(ErrorCode::kInvalid,
                   first_error(text::render_text(parsed.diagnostics, loaded.files)) +
                       (more > 0 ? " (and " + std::to_string(more) + " more)" : ""));
    }
    TRY(find_identity(parsed.config.global));  // a plane that has to start again will need it
    if (!has_listeners(parsed.config)) {
      return Error(ErrorCode::kInvalid, "no enabled listener (check for 'bind' directives)");
    }
    loaded.config = std::move(parsed.config);
    return loaded;
  }

  // The plane counts it and writes it to the configuration's logs: a daemon has no others.
  void tell_bad_reload(const std::string& reason) {
    if (!channel_) return;
    const ChannelMessage message{
        ChannelMessage::Kind::kBadReload, reason.substr(0, kChannelTextMax), {}};
    if (auto sent = send_message(channel_.get(), message); !sent) {
      log_.write(io::Severity::kError, sent.error().message());
    }
  }

  void stop_softly() {
    notify_service_manager("STOPPING=1\n");
    ending_ = true;
    exit_code_ = kExitGood;
    sockets_.clear();
    if (!channel_ || !send_message(channel_.get(), {ChannelMessage::Kind::kStopSoftly, "", {}})) {
      stop_hard(kExitGood);
    }
  }

  void stop_hard(int code) {
    notify_service_manager("STOPPING=1\n");
    ending_ = true;
    exit_code_ = code;
    sockets_.clear();
    if (plane_pid_ == 0) {
      loop_.stop();
      return;
    }
    close_channel();  // the plane ends by itself
    loop_.arm(*this, kHardStopPatience);
  }

  void close_channel() {
    if (!channel_) return;
    loop_.unwatch_descriptor(channel_watch_);
    channel_.reset();
  }

  void on_plane_exit() {
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(plane_pid_), &info, WEXITED | WNOHANG);
    if (info.si_pid == 0) return;
    loop_.unwatch_descriptor(pid_watch_);
    pid_descriptor_.reset();
    close_channel();
    plane_pid_ = 0;
    serving_ = false;
    if (reloading_) {
      log_.write(io::Severity::kAlert, "not reloaded: the plane died while taking it");
      forget_reload();
    }
    if (ending_ || !ever_taken_) {
      cancel();
      if (!ending_) exit_code_ = kExitBad;
      loop_.stop();
      return;
    }
    const bool killed = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
    log_.write(io::Severity::kAlert,
               "the proxy plane died, it is started again behind the same listening sockets",
               {{killed ? "signal" : "status", std::to_string(info.si_status)},
                {"delay_ms", std::to_string(milliseconds_of(restart_delay_))}});
    if (loop_.now() - plane_started_ > kHealthyAfter) restart_delay_ = kRestartDelayMin;
    loop_.arm(*this, restart_delay_);
    restart_delay_ = std::min<Duration>(restart_delay_ * 2, kRestartDelayMax);
  }

  void on_timer(Instant) override {
    if (ending_) {
      if (plane_pid_ != 0) ::syscall(SYS_pidfd_send_signal, pid_descriptor_.get(), SIGKILL, 0, 0);
      return;
    }
    if (auto spawned = spawn(); !spawned) {
      log_.write(io::Severity::kCritical, spawned.error().message());
      loop_.arm(*this, kRestartDelayMax);
    }
  }

  io::EpollLoop& loop_;
  io::Log& log_;
  const MasterOptions& options_;
  Loaded loaded_;
  ListenerSockets sockets_;
  const bool daemon_;
  ListenerSockets predecessors_;  // while binding: what "-sf" lets us take over
  struct OwnPath {
    std::string path;
    dev_t device;
    ino_t inode;
  };
  std::map<std::string, OwnPath> paths_;  // of Unix listeners, by listener_key()
  ListenerSockets fresh_;                 // opened for a reload that the plane has not taken yet
  std::optional<Loaded> reloading_;
  bool reload_again_ = false;
  bool serving_ = false;  // the plane that lives has taken a configuration
  io::Descriptor channel_;
  io::Descriptor pid_descriptor_;
  io::EpollLoop::WatchId channel_watch_ = 0;
  io::EpollLoop::WatchId pid_watch_ = 0;
  pid_t plane_pid_ = 0;
  Instant plane_started_{};
  Duration restart_delay_ = kRestartDelayMin;
  bool ever_taken_ = false;
  bool ending_ = false;
  int exit_code_ = kExitGood;
  std::function<void()> started_callback_;
};

void say(const MasterOptions& options, const char* level, const std::string& text) {
  if (options.quiet) return;
  std::fprintf(stderr, "[%s]   (%d) : %s\n", level, static_cast<int>(::getpid()), text.c_str());
}

// Forks into the background. The parent waits for one byte, written once the plane serves, so that
// whoever started us knows when it may go on; without it the start has failed.
class Daemon {
 public:
  static Result<Daemon> begin() {
    int pair[2];
    if (::pipe2(pair, O_CLOEXEC) != 0) return Error::from_errno(errno, "pipe2");
    io::Descriptor reader(pair[0]), writer(pair[1]);
    const pid_t child = ::fork();
    if (child < 0) return Error::from_errno(errno, "fork");
    if (child > 0) {
      writer.reset();
      char byte = 0;
      ssize_t count;
      do {
        count = ::read(reader.get(), &byte, 1);
      } while (count < 0 && errno == EINTR);
      ::_exit(count == 1 ? kExitGood : kExitBad);
    }
    ::setsid();
    Daemon daemon;
    daemon.ready_ = std::move(writer);
    return daemon;
  }
  void ready() {
    const char byte = 1;
    static_cast<void>(!::write(ready_.get(), &byte, 1));
    ready_.reset();
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int standard : {0, 1, 2}) ::dup2(null, standard);
    if (null > 2) ::close(null);
  }

 private:
  io::Descriptor ready_;
};

void signal_predecessors(const MasterOptions& options) {
  for (const int pid : options.finish_pids) ::kill(pid, SIGUSR1);
  for (const int pid : options.end_pids) ::kill(pid, SIGTERM);
}

// Set once, for the master's reading and the plane's (management guide, section 3, "-L").
void set_local_peer(const std::string& name) {
  char host[256] = "";
  if (name.empty()) static_cast<void>(::gethostname(host, sizeof host - 1));
  ::setenv("HAPROXY_LOCALPEER", name.empty() ? host : name.c_str(), 1);
}

}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view pair = *entry;
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    environment[std::string(pair.substr(0, equals))] = pair.substr(equals + 1);
  }
  return environment;
}

int run_master(const MasterOptions& options) {
  set_local_peer(options.local_peer);
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) {
    say(options, "ALERT",
        Error::from_errno(errno, "cannot change to " + options.directory).message());
    return kExitBad;
  }
  io::LinuxFiles files;
  auto texts = read_texts(files, options.config_paths);
  if (!texts) {
    say(options, "ALERT", "could not open the configuration: " + texts.error().message());
    return kExitBad;
  }
  Loaded loaded;
  loaded.texts = *std::move(texts);
  loaded.files = as_sources(loaded.texts);
  LoadedConfig parsed = parse(loaded.files, loaded.texts, options);
  if (options.json) {
    std::puts(text::render_json(parsed.diagnostics, loaded.files).c_str());
  } else if (!options.quiet && !parsed.diagnostics.all().empty()) {
    std::fputs(
        text::render_text(parsed.diagnostics, loaded.files, {.color = on_terminal()}).c_str(),
        stderr);
  }
  if (!parsed.ok()) {
    if (!options.json) say(options, "ALERT", "Fatal errors found in configuration.");
    return kExitBad;
  }
  loaded.config = std::move(parsed.config);
  if (auto identity = find_identity(loaded.config.global); !identity) {
    say(options, "ALERT", identity.error().message());
    return kExitBad;
  }
  if (options.dump) std::fputs(dump(loaded.config).c_str(), stdout);
  if (!has_listeners(loaded.config)) {
    say(options, "ALERT", "No enabled listener found (check for 'bind' directives) ! Exiting.");
    return options.check_only ? kExitNoListener : kExitBad;
  }
  if (options.check_only) {
    if (!options.quiet && !options.json && !options.dump) {
      std::puts(parsed.diagnostics.warnings() > 0
                    ? "Warnings were found.\nConfiguration file is valid"
                    : "Configuration file is valid");
    }
    return kExitGood;
  }

  const bool daemonize = options.daemon || (loaded.config.global.daemon && !options.foreground);
  std::optional<Daemon> daemon;
  if (daemonize) {
    auto begun = Daemon::begin();
    if (!begun) {
      say(options, "ALERT", begun.error().message());
      return kExitBad;
    }
    daemon = *std::move(begun);
  }
  auto loop = io::EpollLoop::create();
  if (!loop) {
    say(options, "ALERT", loop.error().message());
    return kExitBad;
  }
  const std::string pid_file =
      options.pid_file.empty() ? loaded.config.global.pidfile : options.pid_file;
  auto log = make_log(**loop, options.quiet);
  Master master(**loop, *log, options, std::move(loaded), daemonize);
  master.watch_signals();
  if (auto bound = master.bind_all(); !bound) {
    say(options, "ALERT", "Starting failed: " + bound.error().message());
    return kExitBad;
  }
  if (!pid_file.empty()) {
    if (auto written = files.replace(pid_file, std::to_string(::getpid()) + "\n", 0644); !written) {
      say(options, "ALERT", "Cannot create pidfile " + pid_file + ": " + written.error().message());
      return kExitBad;
    }
  }
  master.on_started([&] {
    signal_predecessors(options);
    if (daemon) daemon->ready();
  });
  if (auto started = master.start(); !started) {
    say(options, "ALERT", started.error().message());
    return kExitBad;
  }
  return master.run();
}

}  // namespace nines::proxy
