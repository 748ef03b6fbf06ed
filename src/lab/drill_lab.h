// A lab as a drill handles it: what there is, how it is, faults by name, and putting it right
// again. Blocking calls over the keeper's socket; nothing here knows of loads and measures.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "lab/engine_plan.h"
#include "lab/lab_control.h"

namespace nines::lab {

// A controller that runs an engine.
struct DrillHost {
  std::string name;
  std::string address;
  std::string runtime_socket;
  std::string log;
  std::string words;  // what its engine says
  NamespaceNumbers namespaces;
};

struct LabHealth {
  std::vector<std::string> holders;  // hosts whose kernels have the address
  // How the kernel schedules the processes that hold the address, "SCHED_FIFO" or "SCHED_OTHER";
  // both where hosts differ.
  std::string scheduling;
  std::string trouble;  // what does not run or is cut off, for people; empty: nothing
};

class DrillLab {
 public:
  // kNotFound: no such lab is up.
  static Result<DrillLab> open(std::string_view name);

  const LabControl& control() const { return control_; }
  EngineKind engine() const { return engine_; }
  ServiceSource services() const { return services_; }
  bool moves_the_address() const { return engine_ != EngineKind::kBalancer; }
  const std::vector<DrillHost>& hosts() const { return hosts_; }
  const NamespaceNumbers& client() const { return client_; }
  const std::string& configuration_path() const { return configuration_path_; }
  const std::string& configuration() const { return configuration_; }
  const std::string& ownership_path() const { return ownership_path_; }
  const std::string& rules_path() const { return rules_path_; }

  // The instant of the act, by the keeper's clock, which is ours. Returns when it has begun.
  Result<Instant> act(std::string_view operation, std::string_view host, std::string_view service);
  // Of each frame, in each direction: a chance to be lost, in percent, and how late it is.
  Result<void> lay_line(std::string_view host, int loss, Duration delay) const;
  // Packets to a service (of a host that is on) vanish, or are delivered again; of stand-ins and
  // real services alike. The instant is that after which none gets through.
  Result<Instant> swallow(std::string_view host, std::string_view service, bool on);
  // A whole host stands still, as a virtual machine that is being copied does: nothing reaches it,
  // and its engine does not run. Thawed, it goes on as if no time had passed; the instant is that
  // at which it is reached again.
  Result<Instant> freeze(std::string_view host);
  Result<Instant> thaw(std::string_view host);
  // Takes all rules out of a host's packet filter, as a firewall's restart does.
  Result<Instant> flush_filter(std::string_view host);
  // Tells a real database that it is the majority.
  Result<Instant> bootstrap(std::string_view host);
  Result<void> write_configuration(const std::string& text);
  Result<LabHealth> health();

  // Every engine begins anew, one after the other: none remembers a verdict.
  Result<void> restart_engines();
  // Boots, heals, resumes and starts whatever is not as it was; returns when it is.
  Result<void> repair();
  // Puts the engines into the state in which a lab begins: `holder` (empty: who has the address, or
  // the first controller) alone has it, everybody else waits afresh, and no check script counts its
  // good runs. kRefused when SIGINT or SIGTERM is pending meanwhile.
  Result<void> settle(std::string_view holder);

 private:
  explicit DrillLab(LabControl control) : control_(std::move(control)) {}
  Result<void> command(std::string_view operation, std::string_view host, std::string_view service);
  Result<void> settle_by_majority(const std::string& wanted);
  Result<void> wait_for_holder(const std::string& holder);
  Result<void> wait_for_power();
  Result<const DrillHost*> find_host(std::string_view name) const;

  LabControl control_;
  EngineKind engine_ = EngineKind::kNines;
  ServiceSource services_ = ServiceSource::kStandIns;
  std::vector<DrillHost> hosts_;
  NamespaceNumbers client_;
  std::string configuration_path_, configuration_, ownership_path_, rules_path_;
};

}  // namespace nines::lab
