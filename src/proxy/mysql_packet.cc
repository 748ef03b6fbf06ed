// Every field is read through a cursor that cannot leave the packet; what is short is bad, since a
// packet's length is known before its content is looked at.
#include "proxy/mysql_packet.h"

namespace nines::proxy::mysql {

std::uint32_t Cursor::integer(std::size_t size) {
  const std::string_view bytes = take(size);
  std::uint32_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

std::string_view Cursor::take(std::size_t size) {
  if (size > rest_.size()) {
    bad_ = true;
    rest_ = {};
    return {};
  }
  const std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

std::string_view Cursor::until_nul() {
  const std::size_t end = rest_.find('\0');
  if (end == std::string_view::npos) return take(rest_.size() + 1);
  const std::string_view taken = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return taken;
}

std::string_view Cursor::counted() {
  constexpr std::uint32_t kNull = 0xfb;
  constexpr std::uint32_t kTwoBytes = 0xfc;
  const std::uint32_t first = integer(1);
  if (first < kNull) return take(first);
  if (first == kNull) return {};
  if (first == kTwoBytes) return take(integer(2));
  return take(rest_.size() + 1);
}

Packet parse_packet(std::string_view bytes) {
  Packet packet;
  if (bytes.size() < 3) return packet;
  const std::size_t size = Cursor(bytes).integer(3);
  if (size == 0 || size > kPacketMax) {
    packet.parse = Parse::kBad;
  } else if (bytes.size() >= kPacketHeaderSize + size) {
    packet.parse = Parse::kComplete;
    packet.sequence = static_cast<std::uint8_t>(bytes[3]);
    packet.payload = bytes.substr(kPacketHeaderSize, size);
  }
  return packet;
}

Parse parse_error(std::string_view payload, ServerError& error) {
  Cursor cursor(payload.substr(1));
  error.code = static_cast<std::uint16_t>(cursor.integer(2));
  error.text = cursor.rest();
  return cursor.bad() ? Parse::kBad : Parse::kComplete;
}

void append_integer(std::string& out, std::uint32_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

std::string encode_packet(std::uint8_t sequence, std::string_view payload) {
  std::string out;
  append_integer(out, static_cast<std::uint32_t>(payload.size()), 3);
  append_integer(out, sequence, 1);
  return out += payload;
}

}  // namespace nines::proxy::mysql
