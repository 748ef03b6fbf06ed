// What is known of the controllers' hosts, brought to their servers: who is not heard gets nothing
// new, who is dead nothing at all while any other can take it, and who returns gets its share back
// step by step. A server's own checks and commands go on beside it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "node/host_share.h"
#include "proxy/runtime.h"

namespace nines::proxy {

// Control thread only.
class HostShares {
 public:
  static constexpr int kSteps = 10;  // of a return, one each kStepEvery
  static constexpr Duration kStepEvery = std::chrono::seconds(1);

  void set(const node::HostShare& share, Instant now);
  // Also the next steps of who returns. To be called at deadline(), after each set() and with each
  // new generation.
  void apply(const Generation& generation, Instant now);
  std::optional<Instant> deadline() const { return deadline_; }

 private:
  struct Host {
    node::HostShare::Kind kind = node::HostShare::Kind::kAll;
    Instant since{};
  };

  std::map<std::string, Host> hosts_;  // by address; as configured: none
  std::optional<Instant> deadline_;
};

}  // namespace nines::proxy
