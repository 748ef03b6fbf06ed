// Runs both sides of sessions on a loop: looks at the kernel's table and tells peers while this
// node holds an address; keeps what they tell, and nudges their clients when it takes one. It
// stands between the lease and whoever holds by it. Duties: session_teller.h, session_keeper.h.
//
// What it costs: a count is read within wakings that renewals cause anyway. A look, on a thread,
// follows when something was accepted since, and once in a while; looks take at most one part in
// kLookShare of a processor. Where the kernel can note sessions itself (address/session_watch.h)
// the count is of these addresses alone and a look copies what was noted; elsewhere it is of all
// that this host accepts, and a look walks the kernel's whole table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "address/session_table.h"
#include "base/result.h"
#include "base/time.h"
#include "cluster/lease_driver.h"
#include "cluster/session_keeper.h"
#include "cluster/session_teller.h"
#include "cluster/session_worker.h"
#include "io/loop.h"
#include "io/ports.h"

namespace nines::cluster {

// To every node that may hold an address; losing, delaying and reordering are allowed.
class SessionPeers {
 public:
  virtual ~SessionPeers() = default;
  virtual void tell(const SessionMessage& message) = 0;
};

struct SessionReport {
  bool on = false;
  std::size_t told = 0;                     // sessions that stand here and peers know of
  std::size_t left_out = 0;                 // more than SessionTeller::kSessionsMax
  Duration look_cost{};                     // of the last look, of a processor's time
  std::string problem;                      // why the kernel did not answer; empty: it did
  std::string no_watch;                     // why it notes no sessions itself; empty: it does
  std::vector<SessionKeeper::Known> known;  // that peers have
  SessionKeeper::Counters heard;
  std::optional<SessionKeeper::Takeover> takeover;  // the last with sessions
  // Of it: segments sent (each session's is repeated once), and sessions that were left alone.
  std::size_t nudges = 0, living = 0;
};

// Lives on its loop; all references outlive it. Never called back after its end.
class SessionDriver final : public LeaseHolder, private Timer {
 public:
  using Clock = LeaseDriver::Clock;
  static constexpr Duration kWatchEvery = std::chrono::milliseconds(20);
  static constexpr Duration kLookEvery = std::chrono::milliseconds(100);
  static constexpr Duration kLookPauseMax = std::chrono::seconds(1);
  static constexpr Duration kLookPauseMaxAtNone = std::chrono::seconds(5);
  // Though nothing was accepted, and by a walk: sessions end, and some are begun from here.
  static constexpr Duration kLookAnyway = std::chrono::seconds(5);
  // After a look that took c, the next one begins c times this later at the earliest.
  static constexpr int kLookShare = 250;
  // The timer waits so much longer than it might: a renewal, which wakes this process anyway, comes
  // first.
  static constexpr Duration kRenewalFirst = std::chrono::milliseconds(50);
  static constexpr Duration kComplaintEvery = std::chrono::minutes(1);

  struct Group {
    std::string text;                      // as people know it
    std::vector<SocketAddress> addresses;  // without ports
  };
  // `holds`: whether `inner` has the name after it was told to hold it.
  enum class Watch : std::uint8_t { kIfPossible, kNever };
  // An error: the kernel has no sock_diag(7), or does not allow it.
  static Result<std::unique_ptr<SessionDriver>> create(std::map<Name, Group> groups, bool on,
                                                       LeaseHolder& inner,
                                                       std::function<bool(Name)> holds,
                                                       SessionPeers& peers, io::Loop& loop,
                                                       Clock clock, io::Log& log,
                                                       Watch watch = Watch::kIfPossible);
  ~SessionDriver() override;

  void hold(Name name, Epoch epoch, Instant until, bool renewed) override;
  void let_go(Name name) override;
  void heard(NodeId from, const SessionMessage& message);
  // Off: nothing is looked at, told, kept or nudged.
  void configure(bool on);

  SessionReport report() const;
  std::string text_of(Name name) const;

 private:
  SessionDriver(std::map<Name, Group> groups, bool on, LeaseHolder& inner,
                std::function<bool(Name)> holds, SessionPeers& peers, io::Loop& loop, Clock clock,
                io::Log& log, address::AcceptedCounter accepted, Watch watch);

  std::optional<address::SessionWatch> make_watch();
  Result<void> make_worker();
  void on_timer(Instant) override { run(); }
  void run();
  void look_soon();
  void look_if_due(Instant now);
  Duration look_every() const { return worker_->watches() ? kWatchEvery : kLookEvery; }
  void looked(SessionWorker::Look look);
  void wait_after(const SessionWorker::Look& look);
  void nudged(const SessionWorker::Nudged& nudged);
  Name name_of(const SessionTuple& session) const;
  void complain(const std::string& error);

  const std::map<Name, Group> groups_;
  bool on_;
  LeaseHolder& inner_;
  std::function<bool(Name)> holds_;
  SessionPeers& peers_;
  io::Loop& loop_;
  Clock clock_;
  io::Log& log_;
  address::AcceptedCounter accepted_;
  const Watch watch_;
  SessionTeller teller_;
  SessionKeeper keeper_;
  std::map<Name, Epoch> held_;

  Instant count_at_{};                    // the next look at the count
  std::optional<std::uint64_t> counted_;  // when the last look was begun
  bool looking_ = false;
  Instant looked_at_{};  // the last was begun
  Instant walked_at_{};  // the last walk
  Instant look_from_{};  // not sooner
  Duration look_pause_ = kLookEvery;
  std::size_t left_out_ = 0;
  Duration look_cost_{};
  std::size_t nudges_ = 0, living_ = 0;
  std::string problem_, no_watch_;
  Instant complained_at_{};
  std::vector<SessionMessage> messages_;  // scratch
  std::vector<SessionTuple> due_;         // scratch
  // Whether this driver still lives, for what the thread posts; shared with that alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<SessionWorker> worker_;
};

}  // namespace nines::cluster
