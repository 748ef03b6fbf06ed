// One plane's life as its supervisor sees it, as a machine: when it is started, asked whether it is
// there, killed because it is not, and how long what depends on it may go on counting on it.
//
//   kIdle ──Begin──> kStarting ──Served──> kServing
//                        ^ └────────Died──────┤
//                        └─delay── kWaiting <─┘        any ──End──> kEnding ──Died──> kIdle
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/time.h"

namespace nines::node {

struct PlanePolicy {
  // Between a death and the next start: doubled with each death until the plane has been healthy.
  Duration restart_delay_min = std::chrono::milliseconds(10);
  Duration restart_delay_max = std::chrono::seconds(5);
  // Serving for this long is being healthy: earlier deaths are forgotten.
  Duration healthy_after = std::chrono::seconds(10);
  // Dead for longer than this, the plane is unfit until it serves again.
  Duration back_within = std::chrono::milliseconds(500);
  // With so many deaths before it was healthy again, it is unfit until it is.
  int deaths_max = 3;
  // A serving plane is asked this often, and killed when it has not answered for `answer_within`: a
  // stopped or stuck process would otherwise be waited for by everybody.
  Duration ask_interval = std::chrono::milliseconds(100);
  Duration answer_within = std::chrono::seconds(1);
  // A plane that takes longer to begin to serve is killed.
  Duration start_within = std::chrono::seconds(30);
};

namespace event {
struct Begin {};
struct Served {};    // it has said that it is at work
struct Answered {};  // to a question
struct Died {};
struct End {};  // it is to end; its death is not mended any more
struct WatchTimer {};
}  // namespace event
using PlaneEvent = std::variant<event::Begin, event::Served, event::Answered, event::Died,
                                event::End, event::WatchTimer>;

enum class PlaneEffect : std::uint8_t {
  kStart,  // the process
  kAsk,
  kKill,   // it does not answer
  kFit,    // it may be counted on
  kUnfit,  // it may not
};

// The driver's duties: effects in their order before the next event; deadline() after each event;
// before WatchTimer all that the plane has said is read and delivered, so that a supervisor that
// was itself stopped blames nobody.
class PlaneWatch {
 public:
  enum class State : std::uint8_t { kIdle, kStarting, kServing, kWaiting, kEnding };

  explicit PlaneWatch(PlanePolicy policy) : policy_(policy) {}

  // Appends to `out`.
  void handle(const PlaneEvent& event, Instant now, std::vector<PlaneEffect>& out);
  std::optional<Instant> deadline() const;
  // From its next death on.
  void set_back_within(Duration time) { policy_.back_within = time; }

  State state() const { return state_; }
  bool fit() const { return fit_; }
  int deaths() const { return deaths_total_; }
  // Of kWaiting.
  Duration restart_delay() const { return delay_; }
  Instant since() const { return since_; }
  // The plane, or when it is dead the one before, was at work then or later: it has answered a
  // question of that time. Zero: none ever was.
  Instant seen_at() const { return seen_at_; }

 private:
  using Out = std::vector<PlaneEffect>;
  void on(const event::Begin&, Instant now, Out& out);
  void on(const event::Served&, Instant now, Out& out);
  void on(const event::Answered&, Instant now, Out& out);
  void on(const event::Died&, Instant now, Out& out);
  void on(const event::End&, Instant now, Out& out);
  void on(const event::WatchTimer&, Instant now, Out& out);
  void enter(State state, Instant now);
  void start(Instant now, Out& out);
  void ask(Instant now, Out& out);
  void set_fit(bool fit, Out& out);

  PlanePolicy policy_;
  State state_ = State::kIdle;
  Instant since_{};
  bool fit_ = false;
  bool killed_ = false;   // and not yet dead
  int deaths_ = 0;        // since it was last healthy
  int deaths_total_ = 0;  // but those that were asked for
  Duration delay_{};      // the latest
  Instant restart_at_{};  // of kWaiting
  Instant ask_at_{};      // of kServing
  Instant answer_due_{};  // of kServing; zero: nothing is asked
  Instant asked_at_{};    // the first question without an answer
  Instant seen_at_{};
  std::optional<Instant> unfit_at_;  // unless it serves before
};

}  // namespace nines::node
