// A lab seen from the machine: bringing it up and down, asking its keeper, entering its hosts.
// Blocking calls for the command line and the drills.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/linux/descriptor.h"
#include "lab/lab_plan.h"

namespace nines::lab {

// "stand-ins", "real" or "openstack". kNotFound when the packages of real services are missing,
// with what installs them; kInvalid for any other word.
Result<ServiceSource> find_services(std::string_view name);

// Starts the keeper and waits until everything answers; `progress` hears a line for each step.
// kExists when a lab of that name is up, kRefused without root's rights. What a dead lab of that
// name left behind is removed first. On an error nothing is left.
Result<void> bring_lab_up(const LabPlan& plan,
                          const std::function<void(std::string_view)>& progress);

// Ends it and waits until its last process is gone and its directory removed. kNotFound when there
// is none; what a dead one left behind is removed, and that is success.
Result<void> take_lab_down(std::string_view name);

// The names of the labs that are up, sorted.
std::vector<std::string> labs_up();

class LabControl {
 public:
  // kNotFound: no such lab is up.
  static Result<LabControl> open(std::string_view name);

  // Sends one request (a JSON object without a line feed) and waits for the reply's line.
  Result<std::string> ask(std::string_view request) const;
  int keeper_pid() const { return keeper_; }

 private:
  LabControl(std::string path, int keeper) : path_(std::move(path)), keeper_(keeper) {}
  std::string path_;
  int keeper_;
};

// The keeper's descriptor numbers of a host's namespaces, as its status tells them.
struct NamespaceNumbers {
  int network = -1;
  int mount = -1;
  int host_name = -1;
};

// Runs a program inside a host with this process's terminal and waits for it. Answers its exit
// status, 128 + N when signal N ended it.
Result<int> run_in_host(const LabControl& lab, const NamespaceNumbers& host,
                        const std::vector<std::string>& command);
// A host's network, for setns(2).
Result<io::Descriptor> open_network(const LabControl& lab, const NamespaceNumbers& host);
// Moves the calling thread's network alone into the host's.
Result<void> enter_network(const LabControl& lab, const NamespaceNumbers& host);

}  // namespace nines::lab
