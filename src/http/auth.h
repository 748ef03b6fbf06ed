// Basic authentication (RFC 7617): does what a client sent name one of the users?
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace nines::http {

inline constexpr std::size_t kCredentialsMax = 512;  // decoded user:password

// Strict RFC 4648 4: padded, no white space, no bits left over. Answers the size, or nothing when
// the text is not Base64 or does not fit.
std::optional<std::size_t> decode_base64(std::string_view text, std::span<char> out);

// Whether an Authorization field's value is Basic with one of `expected` ("user:password" each).
// All of them are compared in full, so that the time taken tells lengths at most.
bool basic_credentials_match(std::string_view authorization_value,
                             std::span<const std::string> expected);

}  // namespace nines::http
