// CHECK: an invariant of our own broke. Always on; says where, then aborts so that a supervisor
// restarts us with a clean state. Never for input: bad input is a Result or a diagnostic.
#pragma once

namespace nines::base {

[[noreturn]] void check_failed(const char* expression, const char* file, int line);

}  // namespace nines::base

#define CHECK(expression)                               \
  (static_cast<bool>(expression) ? static_cast<void>(0) \
                                 : ::nines::base::check_failed(#expression, __FILE__, __LINE__))
