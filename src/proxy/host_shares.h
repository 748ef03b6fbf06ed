// What is known of the controllers' hosts, brought to their servers: who is not heard gets nothing
// new, who is dead nothing at all while any other can take it, and who returns gets its share back
// step by step. A server's own checks and commands go on beside it, and its "slowstart": of the two
// shares it gets the smaller one.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "node/host_share.h"
#include "proxy/runtime.h"
#include "proxy/slow_start.h"

namespace nines::proxy {

// Control thread only.
class HostShares {
 public:
  static constexpr int kSteps = 10;  // of a return, one each kStepEvery
  static constexpr Duration kStepEvery = std::chrono::seconds(1);

  void set(const node::HostShare& share, Instant now);
  // Also the next steps of who returns. To be called at deadline(), after each set(), with each new
  // generation, and when a server has gone down or come up.
  void apply(const Generation& generation, Instant now);
  std::optional<Instant> deadline() const { return deadline_; }

 private:
  struct Host {
    node::HostShare::Kind kind = node::HostShare::Kind::kAll;
    Instant since{};
  };

  std::map<std::string, Host> hosts_;  // by address; as configured: none
  std::optional<Instant> deadline_;
  SlowStart slow_start_;
};

}  // namespace nines::proxy
