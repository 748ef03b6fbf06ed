// Becomes one real service inside its host: its directories and files, its account, its program;
// and a prober beside it that says when it is ready.
#pragma once

#include "lab/lab_child.h"
#include "lab/real_services.h"

namespace nines::lab {

// To be called in a child of the keeper's, in the host's namespaces. Returns only when the program
// could not be run; its pid is then the service's own, so that a kill is seen at once.
int run_real_service(const RealService& service, const std::string& address, ReadySignal ready);

}  // namespace nines::lab
