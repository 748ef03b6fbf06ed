// Busy processes are children that die with this one.
#include "lab/held_conditions.h"

#include <cerrno>
#include <csignal>
#include <string>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/rough_line.h"

namespace nines::lab {
namespace {

[[noreturn]] void compute(int parent) {
  ::prctl(PR_SET_NAME, "nines-busy");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  while (true) asm volatile("" ::: "memory");
}

}  // namespace

Result<HeldConditions> HeldConditions::create(const DrillConditions& conditions,
                                              const DrillLab& lab) {
  HeldConditions held(lab);
  const Roughness line{
      .loss_from = conditions.loss, .loss_to = conditions.loss, .delay = conditions.delay};
  if (!line.is_smooth()) {
    for (const auto& host : lab.hosts()) {
      TRY(lab.lay_line(host.name, conditions.loss, conditions.delay));
      held.rough_.push_back(host.name);
    }
  }
  const int wanted =
      conditions.load ? kBusyForEach * static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)) : 0;
  for (int i = 0; i < wanted; ++i) {
    const int parent = ::getpid();
    const int child = ::fork();
    if (child == 0) compute(parent);
    if (child < 0) return Error::from_errno(errno, "fork");
    held.busy_.push_back(child);
  }
  return held;
}

HeldConditions::~HeldConditions() {
  for (const int each : busy_) {
    ::kill(each, SIGKILL);
    while (::waitpid(each, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  // A lab that is gone meanwhile has no lines.
  for (const auto& host : rough_) {
    static_cast<void>(lab_.lay_line(host, 0, Duration(0)).has_value());
  }
}

}  // namespace nines::lab
