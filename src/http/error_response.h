// The answers a proxy gives by itself, with the status lines, fields and pages of HAProxy's
// defaults, so that whoever matches on them need not change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nines::http {

struct ErrorResponse {
  std::uint16_t status = 500;    // one that has no page here is answered as 500
  bool close = false;            // the connection ends behind it; 400 and 408 end it always
  bool head_only = false;        // answers a HEAD: the fields without the body
  std::string_view fields = {};  // further lines, each with its CRLF; such as www-authenticate
};

std::string make_error_response(const ErrorResponse& response);

// The reason phrase of the status line, or an empty one for a status without a page.
std::string_view error_reason(std::uint16_t status);

// `www-authenticate: Basic realm="..."` or, for 407, `proxy-authenticate`; with CRLF. Quotes and
// backslashes in the realm are escaped.
std::string make_authenticate_field(std::uint16_t status, std::string_view realm);

}  // namespace nines::http
