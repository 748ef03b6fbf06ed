// Binding, looking up and demultiplexing, with Linux's answers where a program can tell.
#include "sim/kernel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sim/core.h"
#include "sim/host.h"

namespace nines::sim {

namespace {

Endpoint unix_endpoint(std::uint64_t number) {
  Endpoint endpoint;
  endpoint.family = SocketAddress::Family::kUnix;
  std::memcpy(endpoint.ip.data(), &number, sizeof number);
  return endpoint;
}

}  // namespace

Kernel::~Kernel() = default;

Result<Listener*> Kernel::listen(const SocketAddress& at, const io::ListenOptions& options,
                                 int process_id, Watcher& watcher) {
  auto listener = std::make_unique<Listener>();
  listener->local = at;
  if (at.is_ip()) {
    listener->at = Endpoint::of(at);
    if (!options.free_bind && !listener->at.is_wildcard() && !host_.has(listener->at)) {
      return Error::from_errno(EADDRNOTAVAIL, "cannot bind " + at.text());
    }
    if (at.port() == 0) {
      listener->at.port = TRY(free_port(listener->at, Endpoint()));
      listener->local = at.with_port(listener->at.port);
    }
    // Several may share a port, as with SO_REUSEPORT: see find_listener().
  } else if (at.family() == SocketAddress::Family::kUnix && !at.path().empty()) {
    const auto [path, fresh] = paths_.emplace(at.path(), next_path_);
    if (fresh) ++next_path_;
    listener->at = unix_endpoint(path->second);
    if (!fresh && find_listener(listener->at) != nullptr) {
      return Error(ErrorCode::kExists, "another process listens on '" + at.path() + "'",
                   EADDRINUSE);
    }
  } else {
    return Error(ErrorCode::kInvalid, "no address");
  }
  listener->backlog = options.backlog > 0
                          ? std::min(static_cast<std::size_t>(options.backlog), kBacklogMax)
                          : kBacklogMax;
  listener->defer = options.defer_accept && at.is_ip();
  listener->process_id = process_id;
  listener->watcher = &watcher;
  std::erase_if(listeners_, [](const auto& old) { return old->closed && old->opening == 0; });
  listeners_.push_back(std::move(listener));
  return listeners_.back().get();
}

void Kernel::close(Listener& listener) {
  listener.closed = true;
  listener.watcher = nullptr;
  auto waiting = std::move(listener.queue);
  listener.queue.clear();
  for (Tcp* const tcp : waiting) tcp->close(true);
}

Result<Tcp*> Kernel::connect(const SocketAddress& to, const std::optional<SocketAddress>& source,
                             int process_id, Watcher& watcher) {
  Endpoint local, remote;
  if (to.is_ip()) {
    remote = Endpoint::of(to);
    if (remote.is_wildcard()) {  // connects to this host, as on Linux
      remote = Endpoint::of(*SocketAddress::parse_ip(
          to.family() == SocketAddress::Family::kIpv4 ? "127.0.0.1" : "::1", to.port()));
    }
    if (source) {
      local = Endpoint::of(*source);
      if (!host_.has(local) && !local.is_loopback()) {
        return Error::from_errno(EADDRNOTAVAIL, "cannot bind " + source->text());
      }
    } else {
      auto found = local_for(remote);
      if (!found) return Error(std::move(found).error()).with_context("connect to " + to.text());
      local = *found;
    }
    if (local.port == 0) local.port = TRY(free_port(local, remote));
    if (table_.contains({local, remote})) {
      return Error::from_errno(EADDRNOTAVAIL, "connect to " + to.text());
    }
  } else {
    const auto path = paths_.find(to.path());
    if (path == paths_.end()) return Error::from_errno(ENOENT, "connect to " + to.text());
    remote = unix_endpoint(path->second);
    Listener* const listener = find_listener(remote);
    if (listener == nullptr) return Error::from_errno(ECONNREFUSED, "connect to " + to.text());
    if (listener->queue.size() + listener->opening > listener->backlog) {
      return Error::from_errno(EAGAIN, "connect to " + to.text());
    }
    local = unix_endpoint(next_unix_client_++);
  }
  Tcp* const tcp = core_.new_tcp();
  tcp->connect(*this, local, remote, process_id);
  tcp->set_watcher(&watcher);
  return tcp;
}

Result<DatagramSocket*> Kernel::open_datagram(const SocketAddress& local, Watcher& watcher) {
  auto socket = std::make_unique<DatagramSocket>();
  socket->local = local;
  if (local.family() == SocketAddress::Family::kUnix) {
    if (local.path().empty()) {
      socket->at = unix_endpoint(next_unix_client_++);  // unnamed: it sends, and hears nothing
    } else {
      const auto [path, fresh] = paths_.emplace(local.path(), next_path_);
      if (!fresh) return Error::from_errno(EADDRINUSE, "cannot bind " + local.text());
      socket->at = unix_endpoint(next_path_++);
    }
    socket->watcher = &watcher;
    datagrams_.push_back(std::move(socket));
    return datagrams_.back().get();
  }
  if (!local.is_ip()) return Error(ErrorCode::kInvalid, "no address");
  socket->at = Endpoint::of(local);
  if (local.port() == 0) {
    socket->at.port = TRY(free_port(socket->at, Endpoint()));
    socket->local = local.with_port(socket->at.port);
  } else if (std::any_of(datagrams_.begin(), datagrams_.end(),
                         [&](const auto& other) { return other->at == socket->at; })) {
    return Error::from_errno(EADDRINUSE, "cannot bind " + local.text());
  }
  socket->watcher = &watcher;
  datagrams_.push_back(std::move(socket));
  return datagrams_.back().get();
}

bool Kernel::send(DatagramSocket& socket, const SocketAddress& to, std::string_view bytes) {
  if (to.family() != socket.at.family || bytes.size() > kDatagramMax) return false;
  Endpoint destination = Endpoint::of(to);
  if (to.family() == SocketAddress::Family::kUnix) {
    const auto path = paths_.find(to.path());
    if (path == paths_.end()) return false;
    destination = unix_endpoint(path->second);
    if (find_datagram(destination) == nullptr) return false;
  }
  Packet* const packet = core_.new_packet();
  packet->kind = PacketKind::kDatagram;
  packet->to = destination;
  packet->from = socket.at;
  if (socket.at.is_wildcard()) {
    const auto local = local_for(packet->to);
    if (!local) {
      core_.release(packet);
      return false;
    }
    packet->from = local->with_port(socket.at.port);
  }
  packet->payload.assign(bytes);
  core_.transmit(host_, packet);
  return true;
}

void Kernel::close(DatagramSocket& socket) {
  for (Packet* const packet : socket.queue) core_.release(packet);
  std::erase_if(datagrams_, [&](const auto& other) { return other.get() == &socket; });
}

SocketAddress Kernel::address_of(const Endpoint& end) const {
  if (end.family != SocketAddress::Family::kUnix) return end.address();
  for (const auto& [path, number] : paths_) {
    if (unix_endpoint(number) == end) return SocketAddress::unix_path(path);
  }
  return SocketAddress::unix_path("");
}

SocketAddress Kernel::local_address(const Tcp& tcp) const {
  if (tcp.local().family == SocketAddress::Family::kUnix) return SocketAddress::unix_path("");
  return tcp.local().address();
}

void Kernel::handle(Packet* packet) {
  if (packet->kind == PacketKind::kDatagram) {
    handle_datagram(packet);
    return;
  }
  const auto found = table_.find({packet->to, packet->from});
  Tcp* const tcp = found == table_.end() ? nullptr : found->second;
  if (tcp != nullptr && tcp->connection() == packet->connection) {
    if (packet->kind == PacketKind::kSyn) {
      tcp->handle_syn_again();
    } else {
      tcp->handle(packet);
    }
  } else if (packet->kind == PacketKind::kSyn && tcp == nullptr) {
    handle_syn(*packet);
  } else if (packet->kind != PacketKind::kReset) {
    refuse(*packet);
  }
  if (packet != nullptr) core_.release(packet);
}

void Kernel::handle_syn(const Packet& packet) {
  Listener* const listener = find_listener(packet.to);
  if (listener == nullptr) {
    refuse(packet);
    return;
  }
  // A full queue drops the SYN: the client tries again after a second.
  if (listener->queue.size() + listener->opening > listener->backlog) return;
  core_.new_tcp()->answer(*this, *listener, packet);
}

void Kernel::handle_datagram(Packet* packet) {
  DatagramSocket* const socket = find_datagram(packet->to);
  if (socket == nullptr || socket->queued_bytes + packet->payload.size() > kDatagramQueueMax) {
    core_.release(packet);
    return;
  }
  socket->queued_bytes += packet->payload.size();
  socket->queue.push_back(packet);
  if (socket->watcher != nullptr) socket->watcher->on_change();
}

void Kernel::refuse(const Packet& packet) {
  Packet* const reset = core_.new_packet();
  reset->kind = PacketKind::kReset;
  reset->from = packet.to;
  reset->to = packet.from;
  reset->connection = packet.connection;
  core_.transmit(host_, reset);
}

void Kernel::power_cut() {
  // In the order of connections, not of the table: freeing decides which object lives next.
  std::vector<Tcp*> all;
  for (const auto& [ends, tcp] : table_) all.push_back(tcp);
  for (auto& listener : listeners_) {
    for (Tcp* const tcp : listener->queue) {
      if (tcp->dead()) all.push_back(tcp);
    }
  }
  std::sort(all.begin(), all.end(),
            [](const Tcp* a, const Tcp* b) { return a->connection() < b->connection(); });
  table_.clear();
  for (Tcp* const tcp : all) tcp->vanish();
  listeners_.clear();
  for (auto& socket : datagrams_) {
    for (Packet* const packet : socket->queue) core_.release(packet);
  }
  datagrams_.clear();
}

Listener* Kernel::find_listener(const Endpoint& to) {
  const Endpoint any = to.wildcard();
  // Those bound to the very address come before those bound to any; several share by lot.
  for (const Endpoint* const wanted : {&to, &any}) {
    if (wanted != &to && to.family == SocketAddress::Family::kUnix) break;
    const Endpoint& at = *wanted;
    const auto fits = [&at](const auto& listener) {
      return !listener->closed && listener->at == at;
    };
    const auto count = std::count_if(listeners_.begin(), listeners_.end(), fits);
    if (count == 0) continue;
    std::uint64_t chosen = count == 1 ? 0 : core_.rng.below(static_cast<std::uint64_t>(count));
    for (auto& listener : listeners_) {
      if (fits(listener) && chosen-- == 0) return listener.get();
    }
  }
  return nullptr;
}

DatagramSocket* Kernel::find_datagram(const Endpoint& to) {
  DatagramSocket* wide = nullptr;
  for (auto& socket : datagrams_) {
    if (socket->at == to) return socket.get();
    if (to.family != SocketAddress::Family::kUnix && socket->at.port == to.port &&
        socket->at.family == to.family && (socket->at.is_wildcard() || to.is_multicast())) {
      wide = socket.get();
    }
  }
  return wide;
}

Result<Endpoint> Kernel::local_for(const Endpoint& to) const {
  if (to.is_loopback() || host_.has(to)) return to.with_port(0);
  if (const auto first = host_.first_address(to.family)) return *first;
  return Error::from_errno(ENETUNREACH, "no address of that family");
}

Result<std::uint16_t> Kernel::free_port(const Endpoint& local, const Endpoint& remote) {
  for (int tries = kEphemeralMin; tries <= kEphemeralMax; ++tries) {
    const std::uint16_t port = next_port_;
    next_port_ = port == kEphemeralMax ? kEphemeralMin : static_cast<std::uint16_t>(port + 1);
    const Endpoint candidate = local.with_port(port);
    const auto same_port = [&](const auto& other) {
      return other->at.port == port && other->at.family == local.family;
    };
    const bool bound =
        std::any_of(listeners_.begin(), listeners_.end(),
                    [&](const auto& other) { return !other->closed && same_port(other); }) ||
        std::any_of(datagrams_.begin(), datagrams_.end(), same_port);
    if (!bound && !table_.contains({candidate, remote})) return port;
  }
  return Error::from_errno(EADDRNOTAVAIL, "no port is free");
}

void Kernel::trace(const EndpointPair& ends, std::string_view what) {
  core_.trace(host_.name(), address_of(ends.local).text() + " " + std::string(what) + " " +
                                address_of(ends.remote).text());
}

}  // namespace nines::sim
