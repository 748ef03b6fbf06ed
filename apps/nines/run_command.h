// `nines run`: the one daemon of a host. `nines status`: how it is.
#pragma once

#include <span>
#include <string>

namespace nines {

// Exit codes of `nines run`: 0 ended as asked, 1 could not begin, 2 usage.
int run_command(std::span<char*> arguments);
// Exit codes: 0 all planes are at work, 1 one is not, 2 usage, 3 no daemon runs there.
int status_command(std::span<char*> arguments);

// "nines check" of a nines.yaml and the files it names. 0 good, 1 errors.
int check_run_file(const std::string& path, bool json, bool quiet);

}  // namespace nines
