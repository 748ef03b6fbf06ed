// Greeting, login and the answers to it. What an old server leaves out at a packet's end is empty.
#include "proxy/mysql_handshake.h"

#include <algorithm>

#include "proxy/mysql_password.h"

namespace nines::proxy::mysql {
namespace {

constexpr std::uint8_t kProtocol10 = 0x0a;
constexpr std::uint8_t kOkByte = 0x00;
constexpr std::uint8_t kAuthMoreDataByte = 0x01;
constexpr std::uint8_t kAuthSwitchByte = 0xfe;

constexpr std::uint32_t kClientProtocol41 = 0x0200;
constexpr std::uint32_t kClientSecureConnection = 0x8000;
constexpr std::uint32_t kClientPluginAuth = 0x00080000;
constexpr std::uint32_t kClientPacketMax = 0x01008000;  // 16 MiB and a half, as HAProxy says
constexpr std::uint32_t kClientPacketMaxPre41 = 0x010000;
constexpr char kCharsetUtf8 = 0x21;
constexpr char kQuit = 0x01;

// Twenty bytes in every server of this century, a NUL behind them.
Challenge join(std::string_view first, std::string_view second = {}) {
  Challenge challenge;
  if (second.ends_with('\0')) second.remove_suffix(1);
  if (first.size() + second.size() > Challenge::kSizeMax) return challenge;
  for (const std::string_view part : {first, second}) {
    for (const char c : part) challenge.bytes[challenge.size++] = c;
  }
  return challenge;
}

Answer parse_error_answer(std::string_view payload) {
  Answer answer;
  answer.kind = Answer::Kind::kError;
  answer.parse = parse_error(payload, answer.error);
  return answer;
}

// With the first byte alone it is the switch to the method of MySQL 4.0.
AuthSwitch parse_auth_switch(std::string_view payload) {
  AuthSwitch wanted;
  payload.remove_prefix(1);
  if (payload.empty()) {
    wanted.plugin = "mysql_old_password";
    return wanted;
  }
  const std::size_t end = std::min(payload.find('\0'), payload.size());
  wanted.plugin = payload.substr(0, end);
  payload.remove_prefix(std::min(end + 1, payload.size()));
  if (payload.ends_with('\0')) payload.remove_suffix(1);
  wanted.challenge = join(payload);
  return wanted;
}

// HandshakeV10. Everything behind the first half of the scramble is optional in old servers.
Answer parse_greeting_10(std::string_view payload) {
  Answer answer;
  Cursor cursor(payload);
  answer.kind = Answer::Kind::kGreeting;
  Greeting& greeting = answer.greeting;
  greeting.protocol = static_cast<std::uint8_t>(cursor.integer(1));
  greeting.version = cursor.until_nul();
  greeting.connection = cursor.integer(4);
  const std::string_view first = cursor.take(8);
  std::string_view second;
  cursor.take(1);  // filler
  greeting.capabilities = cursor.integer(2);
  if (!cursor.rest().empty()) {
    cursor.take(1);  // character set
    cursor.take(2);  // status
    greeting.capabilities |= cursor.integer(2) << 16;
    const std::size_t challenge = cursor.integer(1);
    cursor.take(10);  // reserved; MariaDB keeps more capabilities there
    if (greeting.capabilities & kClientSecureConnection) {
      second = cursor.take(challenge > 21 ? challenge - 8 : 13);
    }
    if (greeting.capabilities & kClientPluginAuth) {
      // Some old servers forget the NUL at the end.
      greeting.auth_plugin = cursor.rest().substr(0, cursor.rest().find('\0'));
    }
  }
  greeting.challenge = join(first, second);
  answer.parse = cursor.bad() ? Parse::kBad : Parse::kComplete;
  return answer;
}

Answer framed(Answer answer, const Packet& packet) {
  answer.sequence = packet.sequence;
  answer.size = packet.size();
  return answer;
}

}  // namespace

Answer parse_greeting(std::string_view bytes) {
  const Packet packet = parse_packet(bytes);
  Answer answer;
  answer.parse = packet.parse;
  if (packet.parse != Parse::kComplete) return answer;
  switch (packet.first_byte()) {
    case kErrorByte:
      return framed(parse_error_answer(packet.payload), packet);
    case kProtocol10:
      return framed(parse_greeting_10(packet.payload), packet);
    default:
      answer.parse = Parse::kBad;
      return answer;
  }
}

Answer parse_login_answer(std::string_view bytes) {
  const Packet packet = parse_packet(bytes);
  Answer answer;
  answer.parse = packet.parse;
  if (packet.parse != Parse::kComplete) return answer;
  switch (packet.first_byte()) {
    case kErrorByte:
      return framed(parse_error_answer(packet.payload), packet);
    case kOkByte:
      answer.kind = Answer::Kind::kOk;
      break;
    case kAuthSwitchByte:
      answer.kind = Answer::Kind::kAuthSwitch;
      answer.auth_switch = parse_auth_switch(packet.payload);
      break;
    case kAuthMoreDataByte:
      answer.kind = Answer::Kind::kAuthMoreData;
      break;
    default:
      answer.parse = Parse::kBad;
      return answer;
  }
  return framed(answer, packet);
}

std::string encode_login(std::string_view user, CheckConfig::MysqlAuth auth) {
  std::string login;
  if (auth == CheckConfig::MysqlAuth::kPost41) {
    // HandshakeResponse41
    append_integer(login, kClientProtocol41 | kClientSecureConnection, 4);
    append_integer(login, kClientPacketMax, 4);
    login += kCharsetUtf8;
    login.append(23, '\0');
    login += user;
    login += '\0';
    login += '\0';  // an authentication response of length 0
  } else {
    // HandshakeResponse320. Its capabilities say "secure connection" as HAProxy's do.
    append_integer(login, kClientSecureConnection, 2);
    append_integer(login, kClientPacketMaxPre41, 3);
    login += user;
    login += '\0';
    login += '\0';  // an empty authentication response
  }
  return encode_packet(1, login) + encode_packet(0, std::string_view(&kQuit, 1));
}

std::string encode_password_login(std::string_view user, std::string_view answer,
                                  std::uint8_t sequence) {
  // HandshakeResponse41 that names its method.
  std::string login;
  append_integer(login, kClientProtocol41 | kClientSecureConnection | kClientPluginAuth, 4);
  append_integer(login, kClientPacketMax, 4);
  login += kCharsetUtf8;
  login.append(23, '\0');
  login += user;
  login += '\0';
  append_integer(login, static_cast<std::uint32_t>(answer.size()), 1);
  login += answer;
  login += kNativePassword;
  login += '\0';
  return encode_packet(sequence, login);
}

}  // namespace nines::proxy::mysql
