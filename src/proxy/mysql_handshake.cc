// Every field is read through a cursor that cannot leave the packet; what is short is bad, since a
// packet's length is known before its content is looked at.
#include "proxy/mysql_handshake.h"

namespace nines::proxy::mysql {
namespace {

constexpr std::size_t kHeaderSize = 4;  // three bytes of length, one of sequence
constexpr std::uint8_t kProtocol10 = 0x0a;
constexpr std::uint8_t kOkByte = 0x00;
constexpr std::uint8_t kAuthMoreDataByte = 0x01;
constexpr std::uint8_t kAuthSwitchByte = 0xfe;
constexpr std::uint8_t kErrorByte = 0xff;

constexpr std::uint32_t kClientProtocol41 = 0x0200;
constexpr std::uint32_t kClientSecureConnection = 0x8000;
constexpr std::uint32_t kClientPluginAuth = 0x00080000;
constexpr std::uint32_t kClientPacketMax = 0x01008000;  // 16 MiB and a half, as HAProxy says
constexpr std::uint32_t kClientPacketMaxPre41 = 0x010000;
constexpr char kCharsetUtf8 = 0x21;
constexpr char kQuit = 0x01;

// Reads forward; after the first read beyond the end everything is zero and `bad`.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}

  std::uint32_t integer(std::size_t size) {
    const std::string_view bytes = take(size);
    std::uint32_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return value;
  }
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) {
      bad_ = true;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::string_view until_nul() {
    const std::size_t end = rest_.find('\0');
    if (end == std::string_view::npos) return take(rest_.size() + 1);
    const std::string_view taken = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return taken;
  }
  std::string_view rest() const { return rest_; }
  bool bad() const { return bad_; }

 private:
  std::string_view rest_;
  bool bad_ = false;
};

// The packet's payload, or why there is none yet.
Parse take_packet(std::string_view bytes, std::string_view& payload) {
  if (bytes.size() < 3) return Parse::kNeedMore;
  const std::size_t size = Cursor(bytes).integer(3);
  if (size == 0 || size > kPacketMax) return Parse::kBad;
  if (bytes.size() < kHeaderSize + size) return Parse::kNeedMore;
  payload = bytes.substr(kHeaderSize, size);
  return Parse::kComplete;
}

Answer parse_error(std::string_view payload) {
  Answer answer;
  Cursor cursor(payload.substr(1));
  answer.kind = Answer::Kind::kError;
  answer.error.code = static_cast<std::uint16_t>(cursor.integer(2));
  answer.error.text = cursor.rest();
  answer.parse = cursor.bad() ? Parse::kBad : Parse::kComplete;
  return answer;
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
  cursor.take(8);  // scramble, first part
  cursor.take(1);  // filler
  greeting.capabilities = cursor.integer(2);
  if (!cursor.rest().empty()) {
    cursor.take(1);  // character set
    cursor.take(2);  // status
    greeting.capabilities |= cursor.integer(2) << 16;
    const std::size_t scramble = cursor.integer(1);
    cursor.take(10);  // reserved; MariaDB keeps more capabilities there
    if (greeting.capabilities & kClientSecureConnection) {
      cursor.take(scramble > 21 ? scramble - 8 : 13);  // scramble, second part
    }
    if (greeting.capabilities & kClientPluginAuth) {
      // Some old servers forget the NUL at the end.
      greeting.auth_plugin = cursor.rest().substr(0, cursor.rest().find('\0'));
    }
  }
  answer.parse = cursor.bad() ? Parse::kBad : Parse::kComplete;
  return answer;
}

Answer with_size(Answer answer, std::string_view payload) {
  answer.size = kHeaderSize + payload.size();
  return answer;
}

void append_integer(std::string& out, std::uint32_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

void append_packet(std::string& out, std::uint8_t sequence, std::string_view payload) {
  append_integer(out, static_cast<std::uint32_t>(payload.size()), 3);
  append_integer(out, sequence, 1);
  out += payload;
}

}  // namespace

Answer parse_greeting(std::string_view bytes) {
  std::string_view payload;
  Answer answer;
  answer.parse = take_packet(bytes, payload);
  if (answer.parse != Parse::kComplete) return answer;
  switch (static_cast<std::uint8_t>(payload[0])) {
    case kErrorByte:
      return with_size(parse_error(payload), payload);
    case kProtocol10:
      return with_size(parse_greeting_10(payload), payload);
    default:
      answer.parse = Parse::kBad;
      return answer;
  }
}

Answer parse_login_answer(std::string_view bytes) {
  std::string_view payload;
  Answer answer;
  answer.parse = take_packet(bytes, payload);
  if (answer.parse != Parse::kComplete) return answer;
  switch (static_cast<std::uint8_t>(payload[0])) {
    case kErrorByte:
      return with_size(parse_error(payload), payload);
    case kOkByte:
      answer.kind = Answer::Kind::kOk;
      break;
    case kAuthSwitchByte:
      answer.kind = Answer::Kind::kAuthSwitch;
      break;
    case kAuthMoreDataByte:
      answer.kind = Answer::Kind::kAuthMoreData;
      break;
    default:
      answer.parse = Parse::kBad;
      return answer;
  }
  return with_size(answer, payload);
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
  std::string out;
  append_packet(out, 1, login);
  append_packet(out, 0, std::string_view(&kQuit, 1));
  return out;
}

}  // namespace nines::proxy::mysql
