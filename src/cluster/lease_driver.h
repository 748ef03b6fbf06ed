// Runs a lease machine on a loop: its messages to peers, its promises to the store, its disk writes
// to a thread of their own, its right to own to whoever holds what is owned. Duties: lease.h.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/time.h"
#include "cluster/lease.h"
#include "cluster/lease_store.h"
#include "io/loop.h"
#include "io/ports.h"

namespace nines::cluster {

// To other nodes; losing, delaying and reordering are allowed.
class LeasePeers {
 public:
  virtual ~LeasePeers() = default;
  virtual void send(NodeId to, const Message& message) = 0;
};

// What is owned. Each call has taken effect in the kernel when it returns.
class LeaseHolder {
 public:
  virtual ~LeaseHolder() = default;
  // To be held until then, by CLOCK_BOOTTIME. Called again with each renewal.
  virtual void hold(Name name, Epoch epoch, Instant until, bool renewed) = 0;
  // At once; also for a name that a process before this one may have left open.
  virtual void let_go(Name name) = 0;
};

// Lives on its loop; all references outlive it.
class LeaseDriver : private Timer {
 public:
  // A disk that takes nothing is told of so often.
  static constexpr Duration kDiskComplaintEvery = std::chrono::minutes(1);
  // The clock at this very moment: a loop's own is of the beginning of its pass.
  using Clock = std::function<Instant()>;

  LeaseDriver(Lease machine, LeaseStore store, io::Loop& loop, Clock clock, LeasePeers& peers,
              LeaseHolder& holder, io::Log& log);
  ~LeaseDriver() override;
  LeaseDriver(const LeaseDriver&) = delete;
  LeaseDriver& operator=(const LeaseDriver&) = delete;

  // Once, first. `nonce`: random.
  void start(std::uint64_t nonce);
  void heard(NodeId from, const Message& message) { handle(lease_event::Heard{from, message}); }
  void want(Name name, bool wanted, Duration patience);
  // To that node if this one holds it.
  void hand_over(Name name, NodeId to) { handle(lease_event::HandOver{name, to}); }
  void handle(const LeaseEvent& event);

  LeaseStatus status() const { return machine_.status(clock_()); }
  LeaseSight sight(Name name) const { return machine_.sight(name, clock_()); }
  std::optional<Epoch> held(Name name) const { return machine_.held(name, clock_()); }

 private:
  // Writes in their order, each to its end before the next.
  class DiskThread {
   public:
    DiskThread(const LeaseStore& store, std::function<void(std::uint64_t, Result<void>)> written);
    ~DiskThread();
    void write(std::uint64_t sequence, const LeaseDisk& disk);

   private:
    void run();

    struct Job {
      std::uint64_t sequence;
      LeaseDisk disk;
    };
    const LeaseStore& store_;
    std::function<void(std::uint64_t, Result<void>)> written_;
    std::mutex mutex_;
    std::condition_variable news_;
    std::deque<Job> jobs_;  // guarded by mutex_; the machine waits for each, so they are few
    bool ending_ = false;   // guarded by mutex_
    std::thread thread_;
  };

  void on_timer(Instant) override { handle(lease_event::TimerFired{}); }
  void perform(const LeaseEffect& effect);
  void kept(const Result<void>& result);
  void disk_written(std::uint64_t sequence, const Result<void>& result);

  Lease machine_;
  LeaseStore store_;
  io::Loop& loop_;
  Clock clock_;
  LeasePeers& peers_;
  LeaseHolder& holder_;
  io::Log& log_;
  LeaseEffects effects_;
  bool handling_ = false;
  // Whether this driver still lives, for what the disk thread posts; shared with that alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<DiskThread> disk_;
  std::uint64_t disk_failures_ = 0;  // since a write last succeeded
  Instant disk_told_{};
};

}  // namespace nines::cluster
