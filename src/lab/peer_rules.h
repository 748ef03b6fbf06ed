// Rules against dead hosts, second by second: which host's kernel refused connections to whom, held
// against what was really so. It knows when a host was away because the drill did it, and so it can
// tell a rule that has its reason from one that outlived it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"

namespace nines::lab {

struct RuleEvent {
  enum class Kind : std::uint8_t {
    kBegan,   // the recorder watches from here on
    kLost,    // what the kernel of `host` refused was not to be read for a while before this
    kStands,  // the kernel of `host` refuses connections to `against`
    kGone,    // and does so no longer
    // What was done to `host`, as the drill tells; twice the same is once.
    kAway,     // nobody reaches it
    kReaches,  // `host` reaches the kernel of `against` again
    kBack,     // everybody reaches `host`
    kSilent,   // its engine has ended or stands still
    kSpeaks,   // its engine was started or goes on
  };
  Kind kind = Kind::kBegan;
  Instant at;
  std::string host = {};
  SocketAddress against = {};  // of kStands, kGone, kReaches; the port is not used

  friend bool operator==(const RuleEvent&, const RuleEvent&) = default;
};

// What a recorder sees, kBegan to kGone, in words: "began", "stands node01 100.2.30.43".
std::string rule_words(const RuleEvent& event);
std::optional<RuleEvent> parse_rule_words(Instant at, std::string_view words);

// One host's uninterrupted refusal of another, as offsets into the window and ending with it.
struct StandingRule {
  std::string host;
  std::string against;
  Duration begin{};
  Duration end{};

  friend bool operator==(const StandingRule&, const StandingRule&) = default;
};

struct RuleReport {
  // From the window's begin to the first rule that began in it, and until every host with a reason
  // had its rule. None: it never came to that.
  std::optional<Duration> first, all;
  int begun = 0;  // rules that began in the window
  // The longest that a rule stood on after its reason had ended in the window, 0 when it went
  // first; none: no such reason ended. What still stands at the window's end counts until there.
  std::optional<Duration> gone_after;
  // Rules that stood for longer than PeerRules::kOutlivedAllowed without a reason.
  int outlived = 0;
  int against_most = 0;   // the most hosts that one host refused at a time
  int verdicts_most = 0;  // the most rules of one host against one other, since the first event
  std::vector<StandingRule> standing;  // by begin, then by host
  bool complete = true;                // the recorder watched throughout
};

// Remembers what it is told and answers for any window; values only, no thread.
class PeerRules {
 public:
  static constexpr std::size_t kEventsMax = 100'000;  // later ones are dropped: not complete
  // A rule may outlive its reason by as much as an element of its set lives.
  static constexpr Duration kOutlivedAllowed = std::chrono::seconds(1);

  struct Host {
    std::string name;
    SocketAddress address;
  };
  explicit PeerRules(std::vector<Host> hosts);

  // In any order; events of one instant in theirs. Hosts that are not known are ignored.
  void handle(RuleEvent event);
  // `begin` belongs to the window, `end` does not.
  RuleReport report(Instant begin, Instant end) const;
  // Whether every host that has a reason refuses whom it has it against, and nobody else refuses
  // anybody: what a watch waits for.
  bool is_settled() const;
  bool any_stands() const;

  // A host has a reason against one that is away, and that it does not reach yet, while it is there
  // itself, its engine runs, and so do those of a majority of all: what rules are for, said without
  // the machine that makes them.
  bool has_reason(std::string_view host, std::string_view against) const;

 private:
  using Pair = std::pair<std::size_t, std::size_t>;  // who refuses, and whom
  struct Span {
    Instant begin;
    std::optional<Instant> end;  // none: goes on
  };
  using Spans = std::map<Pair, std::vector<Span>>;

  struct State {
    std::vector<bool> away, silent;  // by host
    std::set<Pair> reaches = {};     // who is away for the others
    bool has_reason(std::size_t host, std::size_t against) const;
  };

  std::optional<std::size_t> index_of(std::string_view host) const;
  std::optional<std::size_t> index_at(const SocketAddress& address) const;
  bool apply(const RuleEvent& event, State& state) const;
  State state_at_the_end() const;
  Spans rules() const;
  Spans reasons() const;

  std::vector<Host> hosts_;
  std::vector<RuleEvent> events_;  // by instant
  bool full_ = false;
};

}  // namespace nines::lab
