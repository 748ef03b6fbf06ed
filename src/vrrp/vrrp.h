// One virtual router's election (RFC 3768, RFC 5798, and keepalived 2.2.7 where they leave room),
// as a machine: events and the time in, effects out. Who is heard, what is waited for, and when an
// address is taken, dropped and announced is all decided here.
//
// What differs from keepalived on purpose:
//  - A backup whose time has come first claims: it advertises, and takes the address only after
//    claim_hold() in which no better claim was heard. Two backups that wake at the same instant
//    therefore never both announce.
//  - A master that steps down for a better one drops its addresses and then advertises once more,
//  so
//    that the winner knows of the rival and announces again: after a partition heals, switches and
//    clients may still send to the loser.
//  - A rival heard and beaten, a carrier that returns and an address taken away by others make a
//    master announce again.
//  - A master that was stopped for longer than its backups wait (a paused process or machine) is no
//    master any more: it drops its addresses and stands for election again.
//  - A process that follows a dead one of this host that was master finds the addresses in the
//    kernel. It claims without waiting and keeps them meanwhile, or drops them at once when it may
//    not stand or a better router answers. One that follows too late, so that its backups may have
//    lost patience, is treated as if it had been stopped until then.
//  - A master that leaves as planned (HandOver) says priority 0 while it still serves, and drops
//  the
//    addresses when its successor speaks: clients miss only what that one takes to announce them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

// kInit ──conditions known──> kBackup <──better advert / claim──> kMaster
//   └──────────fault──────────> kFault <──fault── any    any ──Stop──> kStopped
enum class State : std::uint8_t { kInit, kBackup, kMaster, kFault, kStopped };
std::string_view name_of(State state);  // as keepalived's scripts get it: "MASTER"

namespace event {
// An advertisement that examine() let through.
struct AdvertHeard {
  int priority = 0;
  SocketAddress source;
  Duration interval{};
};
struct TimerFired {};
// All that the world says about whether this instance may stand, whenever any of it changes. The
// first one is the start.
struct Conditions {
  bool known = true;      // false while a tracked script has not ended once; kFresh waits for it
  int faults = 0;         // failed things of weight 0: the interface, scripts, ...
  int weight = 0;         // sum of what tracks add or take
  SocketAddress primary;  // of the interface; our adverts leave from it
};
// What may have been learnt wrong about our addresses meanwhile is to be put right: an untracked
// carrier came back.
struct LinkRestored {};
// Others took addresses of ours away from the interface.
struct AddressesLost {};
// A new configuration of the same virtual router on the same interface.
struct Reload {
  VrrpInstance instance;
};
// At once: the addresses are dropped, and nobody has them until a successor's skew is over.
struct Stop {};
// A planned end: a master serves on until somebody else speaks, or for hand_over_patience(). Ends
// in kStopped as well; anybody else is stopped at once.
struct HandOver {};
// The others of the sync group are as far as this one, which waits: it claims, or takes what it has
// claimed (sync_group.h).
struct GroupGo {};
// Another of the sync group follows a master or may not stand: this one is not master either.
struct GroupYield {};
}  // namespace event
using Event = std::variant<event::AdvertHeard, event::TimerFired, event::Conditions,
                           event::LinkRestored, event::AddressesLost, event::Reload, event::Stop,
                           event::HandOver, event::GroupGo, event::GroupYield>;

struct Effect {
  enum class Kind : std::uint8_t {
    kSendAdvert,     // value: the priority
    kTakeAddresses,  // all of them; those already there stay
    kDropAddresses,
    kAnnounce,     // value: how many gratuitous ARPs for each address
    kNotify,       // state
    kRivalBeaten,  // a lower priority was heard while master
  };
  Kind kind = Kind::kSendAdvert;
  int value = 0;
  State state = State::kInit;
  friend bool operator==(const Effect&, const Effect&) = default;
};
using Effects = std::vector<Effect>;

struct VrrpStatus {
  State state = State::kInit;
  bool claiming = false;
  bool waiting = false;  // as backup for the others of its group: to claim; claiming: to take
  bool leaving = false;  // a master that hands over
  Instant since{};       // of the state
  int priority = 0;      // effective
  // The master last heard of, or us; priority 0: none heard yet.
  SocketAddress master_address;
  int master_priority = 0;
  Duration master_interval{};
  int followed_priority = 0;  // of the last master that was not us; 0: there was none yet
  struct Counters {
    std::uint64_t adverts_heard = 0;
    std::uint64_t adverts_sent = 0;
    std::uint64_t priority_zero_heard = 0;
    std::uint64_t priority_zero_sent = 0;
    std::uint64_t became_master = 0;
    std::uint64_t released_master = 0;
    std::uint64_t claims_abandoned = 0;
    std::uint64_t rivals_beaten = 0;
  } counters;
};

// The driver's duties, in order:
//  1. Before TimerFired is delivered, everything that waits in the sockets is read and delivered
//     first: a decision on an empty clock must not overlook an advert that has already come. A
//     stopped process would otherwise promote itself beside a living master.
//  2. Effects are performed in their order, all of them, before the next event.
//  3. deadline() is asked after each event; TimerFired comes at or after it.
//  4. Addresses carry a kernel lifetime and are renewed only while this machine, asked after 1, is
//     master.
// Lives on one loop; not thread-safe.
class Vrrp {
 public:
  // At least this much between two rounds of announcements, whatever is heard.
  static constexpr Duration kAnnounceSpacing = std::chrono::milliseconds(10);
  static constexpr Duration kClaimHoldMax = std::chrono::milliseconds(2);
  // Priority 0 is said again against loss. Each word starts a successor's skew anew, keepalived's
  // at least, so they follow each other closely.
  static constexpr int kHandOverRepeats = 2;
  static constexpr Duration kHandOverSpacing = std::chrono::milliseconds(2);
  // Beyond the longest skew, for a successor's late timer and its claim; and the longest skew that
  // is waited for, whatever the interval of version 3 is.
  static constexpr Duration kHandOverMargin = std::chrono::milliseconds(100);
  static constexpr Duration kHandOverSkewMax = std::chrono::seconds(2);

  // `instance` as vrrp_config.h bounds it. `master_seen_at`: an earlier process of this host was
  // master, at work then at least, and has died; its addresses may still be in the kernel. What
  // scripts have not said yet is then taken for what that one knew.
  explicit Vrrp(VrrpInstance instance, std::optional<Instant> master_seen_at = {});

  // Appends to `out`. TimerFired before the deadline does nothing.
  void handle(const Event& event, Instant now, Effects& out);
  std::optional<Instant> deadline() const;
  const VrrpStatus& status() const { return status_; }
  const VrrpInstance& instance() const { return instance_; }
  void clear_counters() { status_.counters = {}; }
  // The kernel has addresses that a dead process left to us, and this one is not master yet.
  bool resuming() const { return resuming_; }

  // From the last advert of a master until a backup claims: adverts times the interval, and the
  // skew.
  Duration master_down_interval() const;
  // RFC 3768: (256 - priority) / 256 s; RFC 5798: the same part of the master's interval.
  Duration skew() const;
  // A hundredth of the interval at most: nobody fails over noticeably later for it.
  Duration claim_hold() const;
  // How long a master that leaves waits for a successor: nobody's skew is longer, and a backup that
  // is there has never said so.
  Duration hand_over_patience() const;

 private:
  void on(const event::AdvertHeard& advert, Instant now, Effects& out);
  void on(const event::TimerFired&, Instant now, Effects& out);
  void on(const event::Conditions& conditions, Instant now, Effects& out);
  void on(const event::LinkRestored&, Instant now, Effects& out);
  void on(const event::AddressesLost&, Instant now, Effects& out);
  void on(const event::Reload& reload, Instant now, Effects& out);
  void on(const event::Stop&, Instant now, Effects& out);
  void on(const event::HandOver&, Instant now, Effects& out);
  void on(const event::GroupGo&, Instant now, Effects& out);
  void on(const event::GroupYield&, Instant now, Effects& out);

  void heard_as_backup(const event::AdvertHeard& advert, Instant now, Effects& out);
  void heard_as_master(const event::AdvertHeard& advert, Instant now, Effects& out);
  bool is_better(const event::AdvertHeard& advert) const;
  void follow(const event::AdvertHeard& advert, Instant now);
  bool grouped() const { return !instance_.group.empty(); }
  void seek(Instant now, Effects& out);
  void claim(Instant now, Effects& out);
  void become_master(Instant now, Effects& out);
  void become_backup(Instant now, Effects& out);
  void resume(Instant now, Effects& out);
  void stand_again(Instant now, Effects& out);
  void leave_on(Instant now, Effects& out);
  void release(Effects& out);
  void enter(State state, Instant now, Effects& out);
  void send_advert(int priority, Effects& out);
  void advertise(Instant now, Effects& out);
  Duration skew_unit() const;
  void announce(int count, Instant now, Effects& out);
  void announce_after_doubt(Instant now, Effects& out);
  void announce_due(Instant now, Effects& out);
  bool may_hold() const { return status_.state == State::kMaster || resuming_; }
  bool was_stopped_too_long(Instant now) const;
  void update_priority();

  VrrpInstance instance_;
  VrrpStatus status_;
  event::Conditions conditions_;
  bool resuming_ = false;
  Instant retake_at_{};  // master whose addresses were lost; zero: they were not
  // Backup: when to claim, or when the claim is ripe. Master: when to advertise; leaving: when to
  // say 0 again.
  Instant next_at_{};
  Instant leave_by_{};
  int leave_repeats_ = 0;
  Instant preempt_at_{};  // zero: not begun
  // When next to announce: what came too soon after the last, an interval after doubt, the second
  // round, the refresh. Zero: not due.
  struct Announcement {
    Instant at{};
    int count = 0;
  };
  Announcement spaced_, soon_, second_, refresh_;
  Instant announced_at_{};
};

}  // namespace nines::vrrp
