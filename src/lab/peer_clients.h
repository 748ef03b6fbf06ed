// Programs on the controllers as a drill plays them: from each controller's network one connection
// after the other to every other controller's service, and one to each that is held. They are no
// processes of their own: a socket belongs to the network it was opened in.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "io/linux/descriptor.h"
#include "io/loop.h"
#include "lab/peer_watch.h"

namespace nines::lab {

// Lives on the loop it is given. While it opens sockets the loop's thread is in a controller's
// network, and back where it was before anything else runs.
class PeerClients final : private Timer {
 public:
  static constexpr Duration kInterval = std::chrono::milliseconds(50);
  // As long as database clients wait for a connection unless told otherwise.
  static constexpr Duration kPatience = std::chrono::seconds(10);
  static constexpr std::size_t kUnderWayMax = 4000;    // further ones are not begun
  static constexpr std::size_t kRecordsMax = 500'000;  // further ones are not kept

  struct Host {
    std::string name;
    SocketAddress service;
    io::Descriptor network;
  };
  // kSystem: the calling thread's own network cannot be told.
  static Result<std::unique_ptr<PeerClients>> create(io::Loop& loop, std::vector<Host> hosts);
  ~PeerClients() override;

  void start();  // forgets what was recorded
  void stop();   // closes everything; what was under way stays recorded as that

  // Runs `open` in the network of that host; false: it is gone.
  bool within(std::string_view host, const std::function<void()>& open) const;
  PeerWatchReport report(const PeerWatchScope& scope) const {
    return report_peer_watch(attempts_, breaks_, names_, scope);
  }

 private:
  class Attempt;
  class Hold;

  PeerClients(io::Loop& loop, std::vector<Host> hosts, io::Descriptor home);
  void on_timer(Instant now) override;
  void begin_from(const Host& host, Instant now);

  io::Loop& loop_;
  std::vector<Host> hosts_;
  std::vector<std::string> names_;
  io::Descriptor home_;
  std::list<std::unique_ptr<Attempt>> under_way_;  // by their begin
  std::vector<std::unique_ptr<Hold>> holds_;
  std::vector<PeerAttempt> attempts_;
  std::vector<PeerBreak> breaks_;
};

}  // namespace nines::lab
