// `nines vrrp`, the same program under the name `keepalived`, and `nines check` for every dialect.
#pragma once

#include <span>

namespace nines {

// `arguments` follow the command's name. `program` is what messages begin with; `as_keepalived`
// when called through a link of that name: it goes to the background unless told otherwise.
int vrrp_command(std::span<char*> arguments, const char* program, bool as_keepalived);

// `nines check FILE...`: a keepalived.conf is known by its first word, the rest is a haproxy.cfg.
int check_files_command(std::span<char*> arguments);

}  // namespace nines
