// `nines lease`: what an operator says about the right to own.
#pragma once

#include <span>

namespace nines {

// 0 done, 1 refused or not done in time, 2 usage, 3 no daemon answers.
int lease_command(std::span<char*> arguments);

}  // namespace nines
