// Looks at all members at once, one connection kept to each, and tells their health.
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

  struct Member {
    std::string name;
    MemberHealth health;
  };

  Monitor(io::EpollLoop& loop, const std::vector<MonitoredMember>& members);
  ~Monitor();

  // `done` runs once, later, within kAnswerWithin. Not while a look is under way. `changed` runs
  // for each member whose state is another than before.
  using Changed = std::function<void(const Member&)>;
  void look(Changed changed, std::function<void()> done);

  const std::vector<std::unique_ptr<Member>>& members() const { return members_; }

 private:
  struct Watched;
  void heard(std::size_t index, const ServerAnswer& answer);

  io::EpollLoop& loop_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Watched>> watched_;  // by index of `members_`
  std::size_t awaited_ = 0;
  Changed changed_;
  std::function<void()> done_;
};

}  // namespace nines::galera
