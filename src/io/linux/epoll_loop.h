// The production loop: one epoll instance, edge-triggered and persistent registrations, so that a
// request on a kept-alive connection costs no epoll_ctl. One thread runs it; see io/loop.h for the
// rules that handlers rely on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "io/linux/descriptor.h"
#include "io/linux/processor_watch.h"
#include "io/loop.h"

namespace nines::io {

class EpollLoop final : public Loop {
 public:
  // kExhausted when the kernel has no descriptors left.
  static Result<std::unique_ptr<EpollLoop>> create();
  ~EpollLoop() override;

  // Passes until stop(); then returns after the current pass.
  void run();
  // One pass, waiting at most `wait_max` for something to happen.
  void run_once(Duration wait_max);
  void stop();  // thread-safe

  WallTime wall_time() const override;
  Result<Acceptor*> listen(const SocketAddress& at, const ListenOptions& options,
                           AcceptHandler& handler) override;
  Stream& connect(const SocketAddress& to, const ConnectOptions& options,
                  StreamHandler& handler) override;
  Result<Datagram*> open_datagram(const SocketAddress& local, DatagramHandler& handler) override;
  void post(std::function<void()> task) override;
  void at_end_of_pass(EndOfPass& hook) override;

  // A listening socket that others own and other loops may share; it must outlive the acceptor.
  // The kernel wakes one of the loops for each connection.
  Acceptor* share_listener(int descriptor, const SocketAddress& at, AcceptHandler& handler);
  // A connected stream socket; the loop owns the descriptor from here on.
  Stream& adopt(Descriptor socket, StreamHandler& handler);

  // Any other descriptor (pidfd, netlink, signalfd): level-triggered, borrowed. `events` are
  // EPOLLIN and so on. The callback may unwatch itself.
  using WatchId = std::uint64_t;
  WatchId watch_descriptor(int descriptor, std::uint32_t events,
                           std::function<void(std::uint32_t events)> callback);
  void unwatch_descriptor(WatchId id);

  // Blocks `number` for this thread and its later children threads and calls back instead
  // (signalfd). Call before other threads start.
  Result<void> on_signal(int number, std::function<void()> callback);

  // Is told when this thread sleeps until a timer; lent, none: nobody is.
  void set_watch(ProcessorWatch* watch) { watch_ = watch; }

  struct Counters {
    std::uint64_t passes = 0;
    std::uint64_t events = 0;
    std::uint64_t accepted = 0;
    std::uint64_t connected = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  class Pollable;
  class EpollStream;
  class EpollAcceptor;
  class EpollDatagram;
  class Watch;
  class Wakeup;

  explicit EpollLoop(Descriptor epoll);
  Result<void> prepare_wakeup();
  void refresh_clock();
  EpollStream& new_stream(int descriptor);
  bool register_with_kernel(Pollable& pollable, int descriptor, std::uint32_t events);
  void make_ready(EpollStream& stream);
  void register_later(EpollStream& stream);
  void doom(std::unique_ptr<Pollable> pollable);
  void run_posted();
  void finish_pass();

  static constexpr int kEventsPerPass = 256;
  static constexpr int kReadsPerPass = 4;     // a stream's reads before the others get a turn
  static constexpr int kAcceptsPerPass = 64;  // an acceptor's connections before others' turn
  static constexpr std::size_t kReadMin = 16u << 10;   // bytes; doubles while reads come back full
  static constexpr std::size_t kReadMax = 256u << 10;  // bytes
  static constexpr std::size_t kSparesMax = 1024;      // recycled stream objects

  Descriptor epoll_;
  ProcessorWatch* watch_ = nullptr;
  std::unique_ptr<char[]> scratch_;  // what is read is lent from here
  mutable WallTime wall_time_{};     // of this pass; zero until somebody asks
  std::vector<EpollStream*> ready_;  // may have bytes to read, this pass or the next
  std::vector<EpollStream*> ready_now_;
  std::vector<std::pair<EpollStream*, Error>> failing_;  // told in the next pass
  std::vector<std::pair<EpollStream*, Error>> failing_now_;
  std::vector<EpollStream*> unregistered_;  // to be registered at the end of the pass
  std::vector<EndOfPass*> end_of_pass_;
  std::vector<EpollStream*> doomed_streams_;
  std::vector<std::unique_ptr<Pollable>> doomed_;
  std::vector<std::unique_ptr<EpollStream>> spares_;
  std::vector<std::unique_ptr<EpollStream>> streams_;  // all live ones; a stream knows its index
  std::vector<std::unique_ptr<Pollable>> others_;      // acceptors, datagrams, watches
  std::unique_ptr<Wakeup> wakeup_;
  std::vector<std::pair<Descriptor, WatchId>> signals_;
  WatchId next_watch_ = 1;
  Counters counters_;
  std::atomic<bool> stopping_{false};

  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;  // guarded by posted_mutex_
};

}  // namespace nines::io
