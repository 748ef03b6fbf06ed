// `nines drill ...`: breaks things in a lab under load and says what clients noticed.
#pragma once

#include <span>

namespace nines {

// `arguments` without the program's name and "drill". Answers the exit status: 0 all expectations
// held, 1 some did not or it could not be run, 2 usage, 3 no such lab.
int drill_command(std::span<char*> arguments);

}  // namespace nines
