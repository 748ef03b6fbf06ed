// The keeper: process 1 of the lab's own process namespace. It makes the hosts, starts their
// services, obeys the lab's commands over a Unix socket, and takes everything with it when it ends,
// however it ends, because the kernel kills a process namespace whose first process is gone.
#pragma once

#include "io/linux/descriptor.h"
#include "lab/lab_plan.h"

namespace nines::lab {

// Never returns. Must be called as process 1 of a fresh process namespace, in a mount namespace
// that may still be the machine's. Lines on `progress` tell people how far it is: the last is
// "ready", or one that begins with "error: ".
[[noreturn]] void run_keeper(LabPlan plan, io::Descriptor progress);

}  // namespace nines::lab
