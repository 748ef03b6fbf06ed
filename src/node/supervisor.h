// What the supervisor of a host does, as a machine: the order in which planes start, what the owner
// is told of the proxy, and the way out: first the answers under way, then the addresses, then the
// rest.
//
//   kStarting ──> kRunning ──StopAsked──> kDraining ──> kReleasing ──> kStopping ──> kEnded
//        └── a plane that cannot begin ──────────────────────^
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/time.h"

namespace nines::node {

namespace event {
struct Start {};
struct ProxyStarted {};
struct ProxyFit {
  bool fit = false;
};
struct ProxyDrained {};
struct ProxyEnded {
  bool good = false;  // it was asked to
};
struct OwnerStarted {};
struct OwnerEnded {
  bool good = false;
};
// A second one, or `at_once`, waits for no answer.
struct StopAsked {
  bool at_once = false;
};
struct SupervisorTimer {};
}  // namespace event
using SupervisorEvent = std::variant<event::Start, event::ProxyStarted, event::ProxyFit,
                                     event::ProxyDrained, event::ProxyEnded, event::OwnerStarted,
                                     event::OwnerEnded, event::StopAsked, event::SupervisorTimer>;

struct SupervisorEffect {
  enum class Kind : std::uint8_t {
    kStartProxy,
    kStartOwner,
    kTellOwner,  // fit: whether the proxy serves
    kReady,      // all planes have begun
    kStopping,   // the way out has begun
    kDrainProxy,
    kEndDrain,  // its time is up
    kReleaseOwner,
    kStopProxySoftly,
    kStopProxyHard,
    kExit,  // code
  };
  Kind kind = Kind::kExit;
  bool fit = false;
  int code = 0;
  friend bool operator==(const SupervisorEffect&, const SupervisorEffect&) = default;
};

struct SupervisorPlan {
  bool proxy = true;  // which planes there are; neither: others run that nothing waits for
  bool owner = true;
  Duration drain = std::chrono::seconds(3);
  // What is left on other addresses once ours are given up ends within this time.
  Duration soft_stop = std::chrono::seconds(5);
};

inline constexpr int kRunExitGood = 0;
inline constexpr int kRunExitBad = 1;  // a plane could not begin

// The driver's duties: effects in their order; what they bring about comes back as events, never
// while an event is being handled; deadline() after each event.
class Supervisor {
 public:
  enum class Stage : std::uint8_t { kStarting, kRunning, kDraining, kReleasing, kStopping, kEnded };
  using Effects = std::vector<SupervisorEffect>;

  explicit Supervisor(SupervisorPlan plan) : plan_(plan) {}

  // Appends to `out`.
  void handle(const SupervisorEvent& event, Instant now, Effects& out);
  std::optional<Instant> deadline() const { return deadline_; }
  Stage stage() const { return stage_; }
  void set_drain(Duration drain) { plan_.drain = drain; }

 private:
  void on(const event::Start&, Instant now, Effects& out);
  void on(const event::ProxyStarted&, Instant now, Effects& out);
  void on(const event::ProxyFit& event, Instant now, Effects& out);
  void on(const event::ProxyDrained&, Instant now, Effects& out);
  void on(const event::ProxyEnded& event, Instant now, Effects& out);
  void on(const event::OwnerStarted&, Instant now, Effects& out);
  void on(const event::OwnerEnded& event, Instant now, Effects& out);
  void on(const event::StopAsked& event, Instant now, Effects& out);
  void on(const event::SupervisorTimer&, Instant now, Effects& out);
  void release(Instant now, Effects& out);
  void stop_proxy(Instant now, Effects& out);
  void stop_proxy_hard(Effects& out);
  void end(Effects& out);

  SupervisorPlan plan_;
  Stage stage_ = Stage::kStarting;
  bool proxy_lives_ = false;
  bool owner_lives_ = false;
  bool in_a_hurry_ = false;
  int code_ = kRunExitGood;
  std::optional<Instant> deadline_;
};

}  // namespace nines::node
