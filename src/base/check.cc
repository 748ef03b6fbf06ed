// The end of the road for a broken invariant: one line on standard error, then abort().
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace nines::base {

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "nines: %s:%d: broken invariant: %s\n", file, line, expression);
  std::abort();
}

}  // namespace nines::base
