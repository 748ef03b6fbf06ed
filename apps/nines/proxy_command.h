// `nines proxy` and `nines check`, and the same program under the name `haproxy`.
#pragma once

#include <span>

namespace nines {

// `arguments` follow the command's name. `program` is what messages begin with; `as_haproxy` when
// called through a link of that name.
int proxy_command(std::span<char*> arguments, const char* program, bool as_haproxy);
int check_command(std::span<char*> arguments);

}  // namespace nines
