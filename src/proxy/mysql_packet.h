// The frame of the MySQL protocol: three bytes of length, one of sequence, a payload. Shared by
// what reads greetings and logins (mysql_handshake) and results (mysql_status). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nines::proxy::mysql {

// Largest packet that is taken for an answer here: a greeting is below 200 bytes, an error packet
// below 600. Whatever announces more does not speak the protocol, or not to us.
inline constexpr std::size_t kPacketMax = 4096;
inline constexpr std::size_t kPacketHeaderSize = 4;

enum class Parse : std::uint8_t { kNeedMore, kBad, kComplete };

inline constexpr std::uint8_t kErrorByte = 0xff;  // the first of an error packet's payload

struct ServerError {
  std::uint16_t code = 0;
  std::string_view text;  // all behind the code, an SQL state ("#28000") at its front included
};

// Reads a payload forward; after the first read beyond the end everything is empty and bad().
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}

  std::uint32_t integer(std::size_t size);  // little-endian, of `size` (1 to 4) bytes
  std::string_view take(std::size_t size);
  std::string_view until_nul();
  // A text behind its length as the protocol encodes lengths; NULL is empty. Lengths of 64 KiB and
  // more are bad: no packet here is so large.
  std::string_view counted();
  std::string_view rest() const { return rest_; }
  bool bad() const { return bad_; }

 private:
  std::string_view rest_;
  bool bad_ = false;
};

struct Packet {
  Parse parse = Parse::kNeedMore;
  std::uint8_t sequence = 0;
  std::string_view payload;  // at least a byte
  std::size_t size() const { return kPacketHeaderSize + payload.size(); }
  std::uint8_t first_byte() const { return static_cast<std::uint8_t>(payload[0]); }
};

// The packet at the front of `bytes`; without state.
Packet parse_packet(std::string_view bytes);
// Of a payload that begins with kErrorByte; nothing good when it is too short for a number.
Parse parse_error(std::string_view payload, ServerError& error);

void append_integer(std::string& out, std::uint32_t value, std::size_t size);  // little-endian
std::string encode_packet(std::uint8_t sequence, std::string_view payload);

}  // namespace nines::proxy::mysql
