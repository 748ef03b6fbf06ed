// Serves the runtime socket on the control thread's loop: accepts, reads lines, sends answers in
// portions as fast as the client takes them, and ends connections that are silent for too long.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "io/loop.h"
#include "proxy/control.h"
#include "proxy/proxy_config.h"
#include "proxy/runtime_socket.h"

namespace nines::proxy {

// Lives on `loop`, which must outlive it, as `control` must. A callback of Control::list_sessions()
// that comes after its end finds nothing.
class RuntimeSocketDriver {
 public:
  static constexpr std::size_t kConnectionsMax = 64;        // more are told so and closed
  static constexpr std::size_t kPortion = 16u << 10;        // bytes produced at a time
  static constexpr std::size_t kBytesPerPass = 256u << 10;  // then others on the loop get a turn

  RuntimeSocketDriver(io::Loop& loop, Control& control, Duration timeout,
                      DateText::UtcOffset utc_offset);
  ~RuntimeSocketDriver();
  RuntimeSocketDriver(const RuntimeSocketDriver&) = delete;
  RuntimeSocketDriver& operator=(const RuntimeSocketDriver&) = delete;

  // For sockets that others listen on: hand this to the loop. Valid until the driver's end.
  io::AcceptHandler& acceptor(SocketLevel level);
  // Listens itself, with the mode that the configuration gives (0600 without one). Owner and group
  // of the path are the business of whoever has the right to set them.
  Result<void> listen(const StatsSocketConfig& socket);

  // Takes no more connections; those that there are go on. For the end of a process or a reload.
  void stop_listening();
  // "stats timeout", for connections from now on.
  void set_timeout(Duration timeout) { timeout_ = timeout; }
  std::size_t connections() const { return connections_.size(); }

 private:
  class Connection;
  class Door;

  void accepted(io::Stream& stream, SocketLevel level);
  void ask_for_sessions(std::uint64_t id);
  void pump_later(std::uint64_t id);
  void drop(std::uint64_t id);

  io::Loop& loop_;
  Control& control_;
  Duration timeout_;
  DateText::UtcOffset utc_offset_;
  std::vector<std::unique_ptr<Door>> doors_;  // one for each level
  std::vector<io::Acceptor*> acceptors_;      // those that listen() made
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> doomed_;  // destroyed in a later pass
  std::uint64_t next_id_ = 1;
  // Shared, so that callbacks that outlive the driver can see that it is gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace nines::proxy
