// Whether a request whose server failed it may go on, and where. Pure.
//
// HAProxy repeats a failed connect to the same server after a second and redispatches on the last
// retry. Here the first failure redispatches when that is allowed and somebody else can take it:
// a retry on a server that has just refused is a second lost (docs/decisions).
#pragma once

#include <cstdint>

#include "base/time.h"

namespace nines::proxy {

// The pause before the same server is tried again, as HAProxy has it (section 4.2, "retries"):
// never longer than "timeout connect".
inline constexpr Duration kRetryPause = std::chrono::seconds(1);

// How often a session that waits for the checks' verdict on its only server looks again.
inline constexpr Duration kVerdictPause = std::chrono::milliseconds(20);

// How long a connect may take before another server gets the request, if there is one: a LAN
// answers in a millisecond, and the kernel repeats a lost SYN only after a second. The last server
// left has all of "timeout connect", and is a suspect from then on.
inline constexpr Duration kConnectPatience = std::chrono::milliseconds(250);

struct RetryFacts {
  int failures = 0;           // servers or attempts that failed this request, this one included
  int retries = 3;            // "retries"
  bool redispatch = false;    // "option redispatch"
  bool other_usable = false;  // a usable server that has not failed this request yet
  bool pooled = false;        // it failed on a connection from the pool, before any answer
  bool untouched = false;     // no byte of the request has been given to the kernel
  bool idempotent = false;    // RFC 9110, section 9.2.2
  bool kept = false;          // all that was sent is still here to be sent again
  bool answered = false;      // a byte of the answer has gone to the client
};

enum class Retry : std::uint8_t {
  kGiveUp,
  kSameServerNow,    // a pooled connection had died while idle: a fresh one
  kSameServerLater,  // after kRetryPause
  kOtherServer,      // at once
};

// What is sent and not idempotent is never sent twice.
Retry decide_retry(const RetryFacts& facts);

}  // namespace nines::proxy
