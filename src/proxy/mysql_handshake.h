// The first packets of the MySQL client/server protocol, as far as a health check needs them: the
// server's greeting, a login without password, and what the server says to it. Bytes to values and
// back, nothing more. After the protocol's public documentation (connection phase).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/proxy_config.h"

namespace nines::proxy::mysql {

// Largest packet that is taken for an answer here: a greeting is below 200 bytes, an error packet
// below 600. Whatever announces more does not speak the protocol, or not to us.
inline constexpr std::size_t kPacketMax = 4096;

enum class Parse : std::uint8_t { kNeedMore, kBad, kComplete };

struct ServerError {
  std::uint16_t code = 0;
  std::string_view text;  // all behind the code, an SQL state ("#28000") at its front included
};

struct Greeting {
  std::uint8_t protocol = 0;
  std::string_view version;
  std::uint32_t connection = 0;
  std::uint32_t capabilities = 0;
  std::string_view auth_plugin;  // may be empty
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
  std::size_t size = 0;  // bytes of the packet with its header
};

// The views in the answer point into `bytes`. Without state: on kNeedMore call again with more
// bytes and the same beginning. Sequence numbers are not looked at (nor does HAProxy).
Answer parse_greeting(std::string_view bytes);      // kGreeting or kError
Answer parse_login_answer(std::string_view bytes);  // all but kGreeting

// A login for `user` with no password and no database, followed by COM_QUIT, so that the server
// does not count an aborted connection. `user`: without NUL.
std::string encode_login(std::string_view user, CheckConfig::MysqlAuth auth);

}  // namespace nines::proxy::mysql
