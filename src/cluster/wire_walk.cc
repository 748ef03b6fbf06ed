// The names of what can be wrong with bytes.
#include "cluster/wire_walk.h"

namespace nines::cluster {

std::string_view name_of(WireFault fault) {
  switch (fault) {
    case WireFault::kNone:
      return "none";
    case WireFault::kTooShort:
      return "too short";
    case WireFault::kTooLong:
      return "too long";
    case WireFault::kVersion:
      return "unknown version";
    case WireFault::kKind:
      return "unknown kind";
    case WireFault::kRange:
      return "value out of range";
  }
  return "unknown";
}

}  // namespace nines::cluster
