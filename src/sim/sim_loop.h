// io::Loop over simulated time and network: one simulated thread. Keeps every rule of io/loop.h
// and, where those leave a choice, does what the production loop does, lazy registration included,
// so that a driver which forgets watch() hangs here as it would there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "io/loop.h"
#include "sim/tcp.h"

namespace nines::sim {

class Core;
class Process;

// How a process's sockets end with it.
enum class Ending : std::uint8_t {
  kLikeLinux,  // the kernel closes them: what was sent arrives, then FIN; RST if bytes were unread
  kReset,      // each is reset at once
  kSilent,     // nothing is sent: the host lost its power
};

class SimLoop final : public io::Loop {
 public:
  // Made by Process::add_loop().
  SimLoop(Core& core, Process& process);
  ~SimLoop() override;

  WallTime wall_time() const override;
  Result<io::Acceptor*> listen(const SocketAddress& at, const io::ListenOptions& options,
                               io::AcceptHandler& handler) override;
  io::Stream& connect(const SocketAddress& to, const io::ConnectOptions& options,
                      io::StreamHandler& handler) override;
  Result<io::Datagram*> open_datagram(const SocketAddress& local,
                                      io::DatagramHandler& handler) override;
  void post(std::function<void()> task) override;
  void at_end_of_pass(io::EndOfPass& hook) override;

  struct Counters {
    std::uint64_t passes = 0;
    std::uint64_t accepted = 0;
    std::uint64_t connected = 0;
  };
  const Counters& counters() const { return counters_; }
  std::size_t streams() const { return streams_.size(); }
  std::size_t queued() const;  // bytes in all streams' own queues
  Process& process() { return process_; }

  // For the world.
  void run_pass();
  void on_timer_event(std::uint32_t tag);
  void settle();  // something may have been asked for from outside of a pass
  void refresh_clock();
  void thaw();           // the process goes on
  void die(Ending how);  // no handler runs any more; the objects stay until the world ends

 private:
  class Pollable;
  class SimStream;
  class SimAcceptor;
  class SimDatagram;

  static constexpr int kReadsPerPass = 4;     // a stream's reads before the others get a turn
  static constexpr int kAcceptsPerPass = 64;  // an acceptor's connections before others' turn
  static constexpr std::size_t kReadMin = 16u << 10;   // bytes; doubles while reads come back full
  static constexpr std::size_t kReadMax = 256u << 10;  // bytes
  static constexpr std::size_t kSparesMax = 1024;      // recycled stream objects
  static constexpr Duration kAcceptPause = 100ms;      // after running out of descriptors

  bool idle() const;
  void wake();
  void wake_for_timer();
  SimStream& new_stream(Tcp* tcp);
  void make_ready(SimStream& stream);
  void register_later(SimStream& stream);
  void changed(Pollable& pollable);
  void finish_pass();
  void doom(Pollable& pollable);

  Core& core_;
  Process& process_;
  std::unique_ptr<char[]> scratch_;  // what is read is lent from here
  bool dead_ = false;
  bool in_pass_ = false;
  bool woken_ = false;      // a pass is in the world's queue
  Instant timer_queued_{};  // true time of the timer event that counts
  std::uint32_t timer_tag_ = 0;
  std::vector<Pollable*> changed_;  // what epoll would report next
  std::vector<Pollable*> changed_now_;
  std::vector<SimStream*> ready_, ready_now_;
  std::vector<std::pair<SimStream*, Error>> failing_, failing_now_;
  std::vector<SimStream*> unregistered_;
  std::vector<io::EndOfPass*> end_of_pass_;
  std::vector<std::function<void()>> posted_;
  std::vector<SimStream*> doomed_streams_;
  std::vector<std::unique_ptr<Pollable>> doomed_;
  std::vector<std::unique_ptr<SimStream>> spares_;
  std::vector<std::unique_ptr<SimStream>> streams_;  // all live ones; a stream knows its index
  std::vector<std::unique_ptr<Pollable>> others_;    // acceptors and datagrams
  Counters counters_;
};

}  // namespace nines::sim
