// A stand-in for one service of a controller: listens, and answers as the real one would, as far as
// a balancer and its health checks can tell.
#pragma once

#include <string>

#include "base/socket_address.h"
#include "lab/lab_child.h"
#include "lab/lab_plan.h"

namespace nines::lab {

// Runs for ever in the process that calls it. Answers 1 when it cannot begin, having said why.
int run_stand_in(const StandInPlan& service, const SocketAddress& at, const std::string& node,
                 ReadySignal ready);

}  // namespace nines::lab
