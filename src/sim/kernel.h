// What a simulated host's kernel knows of sockets: who listens where, which connection a packet
// belongs to, which datagrams wait. Lives as long as its host; a power cut empties it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "io/loop.h"
#include "sim/packet.h"
#include "sim/tcp.h"

namespace nines::sim {

class Core;
class Host;

class Listener {
 public:
  Endpoint at;
  SocketAddress local;
  std::size_t backlog = 0;
  bool defer = false;
  bool closed = false;
  int process_id = 0;
  std::size_t opening = 0;  // handshakes under way
  std::deque<Tcp*> queue;   // open, and not yet accepted
  Watcher* watcher = nullptr;
};

class DatagramSocket {
 public:
  Endpoint at;
  SocketAddress local;
  std::deque<Packet*> queue;
  std::size_t queued_bytes = 0;
  Watcher* watcher = nullptr;
};

class Kernel {
 public:
  static constexpr std::size_t kBufferDefault = 256u << 10;     // bytes, each way
  static constexpr std::size_t kBacklogMax = 4096;              // net.core.somaxconn
  static constexpr std::size_t kDatagramQueueMax = 208u << 10;  // bytes: net.core.rmem_default
  static constexpr std::size_t kDatagramMax = 65507;            // bytes: UDP over IPv4
  static constexpr std::uint16_t kEphemeralMin = 32768;         // net.ipv4.ip_local_port_range
  static constexpr std::uint16_t kEphemeralMax = 60999;

  Kernel(Core& core, Host& host) : core_(core), host_(host) {}
  ~Kernel();

  // The pointers belong to the kernel; each ends with close().
  Result<Listener*> listen(const SocketAddress& at, const io::ListenOptions& options,
                           int process_id, Watcher& watcher);
  void close(Listener& listener);
  Result<Tcp*> connect(const SocketAddress& to, const std::optional<SocketAddress>& source,
                       int process_id, Watcher& watcher);
  Result<DatagramSocket*> open_datagram(const SocketAddress& local, Watcher& watcher);
  bool send(DatagramSocket& socket, const SocketAddress& to, std::string_view bytes);
  void close(DatagramSocket& socket);

  SocketAddress local_address(const Tcp& tcp) const;
  SocketAddress address_of(const Endpoint& end) const;

  void handle(Packet* packet);
  void power_cut();  // nothing is sent; nobody is told
  std::size_t connections() const { return table_.size(); }

  // For sockets.
  void add(Tcp& tcp, const EndpointPair& ends) { table_.emplace(ends, &tcp); }
  void remove(const EndpointPair& ends) { table_.erase(ends); }
  void trace(const EndpointPair& ends, std::string_view what);
  Host& host() { return host_; }
  std::size_t send_buffer() const { return send_buffer_; }
  std::size_t receive_buffer() const { return receive_buffer_; }
  void set_buffers(std::size_t send, std::size_t receive) {
    send_buffer_ = send;
    receive_buffer_ = receive;
  }

 private:
  Listener* find_listener(const Endpoint& to);
  DatagramSocket* find_datagram(const Endpoint& to);
  void handle_syn(const Packet& packet);
  void handle_datagram(Packet* packet);
  void refuse(const Packet& packet);
  Result<Endpoint> local_for(const Endpoint& to) const;
  Result<std::uint16_t> free_port(const Endpoint& local, const Endpoint& remote);

  Core& core_;
  Host& host_;
  std::unordered_map<EndpointPair, Tcp*, EndpointHash> table_;
  std::vector<std::unique_ptr<Listener>> listeners_;  // closed ones too: handshakes point at them
  std::vector<std::unique_ptr<DatagramSocket>> datagrams_;
  std::map<std::string, std::uint64_t> paths_;  // Unix sockets' paths, also stale ones
  std::uint64_t next_path_ = 1;
  std::uint64_t next_unix_client_ = 1u << 20;
  std::uint16_t next_port_ = kEphemeralMin;
  std::size_t send_buffer_ = kBufferDefault;
  std::size_t receive_buffer_ = kBufferDefault;
};

}  // namespace nines::sim
