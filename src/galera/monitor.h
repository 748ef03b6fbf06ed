// Looks at all members, one connection kept to each, and tells their health: once, or for good,
// each member at its own pace, so that one that hangs holds up no other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "galera/health.h"
#include "galera/server_client.h"
#include "io/linux/epoll_loop.h"

namespace nines::galera {

struct MonitoredMember {
  std::string name;
  ServerLogin login;
  std::string data;   // of the member on this host; empty for the others
  std::string state;  // likewise: where a recovery's claim on it is
};

// Lives on its loop, which outlives it.
class Monitor {
 public:
  // For a member: also while a statement waits for nothing, since its server may be stopped.
  static constexpr Duration kAnswerWithin = std::chrono::seconds(2);
  // Of watch(): between two questions to one member; the shorter one while what it says has just
  // changed, kSoonLooksMax times.
  static constexpr Duration kLookEvery = std::chrono::seconds(1);
  static constexpr Duration kLookSoon = std::chrono::milliseconds(200);
  static constexpr int kSoonLooksMax = 5;
  // An answer that is not there by then is told to be late. A busy host's is there.
  static constexpr Duration kLateAfter = std::chrono::milliseconds(500);

  struct Member {
    std::string name;
    MemberHealth health;
    Instant asked{};  // when the last question that was answered was put
  };

  Monitor(io::EpollLoop& loop, const std::vector<MonitoredMember>& members);
  ~Monitor();

  // `done` runs once, later, within kAnswerWithin. Not while a look is under way. `changed` runs
  // for each member whose state is another than before.
  using Changed = std::function<void(const Member&)>;
  void look(Changed changed, std::function<void()> done);

  // From now on, for good; no look() any more.
  struct Hooks {
    Changed changed;
    Changed looked;  // after each question; `changed` came before
    Changed late;    // no answer yet
  };
  void watch(Hooks hooks);

  const std::vector<std::unique_ptr<Member>>& members() const { return members_; }
  // Each has been looked at.
  bool is_complete() const;

 private:
  class Watched;
  void ask(std::size_t index);
  void heard(std::size_t index, const ServerAnswer& answer);
  std::string claimed_by() const;

  io::EpollLoop& loop_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Watched>> watched_;  // by index of `members_`
  bool is_watching_ = false;
  Hooks hooks_;
  std::size_t awaited_ = 0;  // of look()
  std::function<void()> done_;
};

}  // namespace nines::galera
