// Result<T>: a value or an Error, and a dropped one does not compile. A thin nodiscard class over
// tl::expected, which alone lets a dropped result pass silently.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace nines::base {

// Small and stable: callers branch on it. The message is for people only.
enum class ErrorCode : unsigned char {
  kInvalid,      // the input breaks a rule
  kNotFound,     // no such thing
  kExists,       // there already
  kRefused,      // a peer or the kernel said no (ECONNREFUSED, EPERM, EACCES)
  kReset,        // a peer broke the connection
  kTimeout,      // a deadline passed
  kUnreachable,  // no route, host or network down
  kExhausted,    // a named limit or a kernel resource ran out
  kUnavailable,  // not now; later perhaps
  kUnsupported,  // known, and not offered here
  kSystem,       // any other errno
};

std::string_view name_of(ErrorCode code);
ErrorCode code_of_errno(int error_number);

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message, int error_number = 0)
      : message_(std::move(message)), error_number_(error_number), code_(code) {}

  // "WHAT: strerror(error_number)", with the code that fits the errno.
  static Error from_errno(int error_number, std::string_view what);

  ErrorCode code() const { return code_; }
  int error_number() const { return error_number_; }  // 0 when no system call was involved
  const std::string& message() const { return message_; }

  // The same error as seen one level up: "CONTEXT: message".
  Error with_context(std::string_view context) &&;

 private:
  std::string message_;
  int error_number_;
  ErrorCode code_;
};

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(Error error) : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}
};

}  // namespace nines::base

namespace nines {
using base::Error;
using base::ErrorCode;
using base::Result;
}  // namespace nines

// `auto socket = TRY(listen(address));` returns the error to the caller, or yields the value.
#define TRY(expression)                                            \
  ({                                                               \
    auto try_result_ = (expression);                               \
    if (!try_result_.has_value()) [[unlikely]] {                   \
      return ::nines::base::Error(std::move(try_result_).error()); \
    }                                                              \
    ::nines::base::try_value(std::move(try_result_));              \
  })

namespace nines::base {
template <typename T>
T try_value(Result<T>&& result) {
  return *std::move(result);
}
inline void try_value(Result<void>&&) {}
}  // namespace nines::base
