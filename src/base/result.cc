// Errno to ErrorCode, once for the whole program, so that callers never branch on numbers.
#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace nines::base {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kExists:
      return "exists";
    case ErrorCode::kRefused:
      return "refused";
    case ErrorCode::kReset:
      return "reset";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kUnreachable:
      return "unreachable";
    case ErrorCode::kExhausted:
      return "exhausted";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kSystem:
      return "system";
  }
  return "system";
}

ErrorCode code_of_errno(int error_number) {
  switch (error_number) {
    case ECONNREFUSED:
    case EPERM:
    case EACCES:
      return ErrorCode::kRefused;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
      return ErrorCode::kReset;
    case ETIMEDOUT:
      return ErrorCode::kTimeout;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
      return ErrorCode::kUnreachable;
    case ENOENT:
    case ESRCH:
      return ErrorCode::kNotFound;
    case EEXIST:
    case EADDRINUSE:
      return ErrorCode::kExists;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL:
      return ErrorCode::kExhausted;
    case EAGAIN:
    case EINTR:
      return ErrorCode::kUnavailable;
    case EINVAL:
      return ErrorCode::kInvalid;
    case ENOTSUP:
    case ENOSYS:
      return ErrorCode::kUnsupported;
    default:
      return ErrorCode::kSystem;
  }
}

Error Error::from_errno(int error_number, std::string_view what) {
  std::string message(what);
  message += ": ";
  message += std::strerror(error_number);
  return Error(code_of_errno(error_number), std::move(message), error_number);
}

Error Error::with_context(std::string_view context) && {
  std::string message(context);
  message += ": ";
  message += message_;
  return Error(code_, std::move(message), error_number_);
}

}  // namespace nines::base
