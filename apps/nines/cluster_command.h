// `nines cluster`: what several controllers have in common. Begins with their key.
#pragma once

#include <span>

namespace nines {

int cluster_command(std::span<char*> arguments);

}  // namespace nines
