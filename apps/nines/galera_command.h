// `nines galera`: what a database cluster is like, member by member.
#pragma once

#include <span>

namespace nines {

int galera_command(std::span<char*> arguments);

}  // namespace nines
