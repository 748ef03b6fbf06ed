// The answer to a MySQL server's challenge under mysql_native_password, which is SHA-1's only use
// here: SHA1(password) XOR SHA1(challenge + SHA1(SHA1(password))). Nothing else relies on it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace nines::proxy::mysql {

using Sha1 = std::array<std::uint8_t, 20>;
Sha1 sha1(std::string_view bytes);  // FIPS 180-4, section 6.1

inline constexpr std::string_view kNativePassword = "mysql_native_password";
inline constexpr std::size_t kChallengeSize = 20;

// 20 bytes. `challenge`: kChallengeSize bytes, of the greeting or of an authentication switch.
std::string native_password_answer(std::string_view password, std::string_view challenge);

}  // namespace nines::proxy::mysql
