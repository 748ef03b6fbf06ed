// The first packets of the MySQL client/server protocol, as far as a health check needs them: the
// server's greeting, a login, and what the server says to it. Bytes to values and
// back, nothing more. After the protocol's public documentation (connection phase).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/mysql_packet.h"
#include "proxy/proxy_config.h"

namespace nines::proxy::mysql {

// What a server wants hashed together with the password.
struct Challenge {
  static constexpr std::size_t kSizeMax = 32;
  std::array<char, kSizeMax> bytes = {};
  std::size_t size = 0;  // 0: none was sent, or one of an unknown size
  std::string_view text() const { return {bytes.data(), size}; }
};

struct Greeting {
  std::uint8_t protocol = 0;
  std::string_view version;
  std::uint32_t connection = 0;
  std::uint32_t capabilities = 0;
  std::string_view auth_plugin;  // may be empty
  Challenge challenge;
};

// "Say it again by this method."
struct AuthSwitch {
  std::string_view plugin;
  Challenge challenge;
};

struct Answer {
  enum class Kind : std::uint8_t {
    kGreeting,  // protocol 10
    kOk,
    kError,
    kAuthSwitch,    // the server wants another authentication: it knows the user and works
    kAuthMoreData,  // so does this, from newer plugins
  };
  Parse parse = Parse::kNeedMore;
  Kind kind = Kind::kOk;  // the rest is meaningful on kComplete only
  Greeting greeting;
  ServerError error;
  AuthSwitch auth_switch;
  std::uint8_t sequence = 0;  // the packet's; what answers it has the next
  std::size_t size = 0;       // bytes of the packet with its header
};

// The views in the answer point into `bytes`. Without state: on kNeedMore call again with more
// bytes and the same beginning. Sequence numbers are not looked at (nor does HAProxy).
Answer parse_greeting(std::string_view bytes);      // kGreeting or kError
Answer parse_login_answer(std::string_view bytes);  // all but kGreeting

// A login for `user` with no password and no database, followed by COM_QUIT, so that the server
// does not count an aborted connection. `user`: without NUL.
std::string encode_login(std::string_view user, CheckConfig::MysqlAuth auth);
// A login whose answer to the greeting's challenge is that of mysql_native_password.
std::string encode_password_login(std::string_view user, std::string_view answer,
                                  std::uint8_t sequence);

}  // namespace nines::proxy::mysql
