// What we are.
#pragma once

namespace nines {

inline constexpr const char* kVersion = NINES_VERSION;

}  // namespace nines
