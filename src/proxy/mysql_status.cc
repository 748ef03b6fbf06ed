// A result is: the number of columns, their descriptions, an end, the rows, an end. The
// descriptions are stepped over unread.
#include "proxy/mysql_status.h"

namespace nines::proxy::mysql {
namespace {

constexpr char kQuit = 0x01;
constexpr char kQuery = 0x03;
constexpr std::uint8_t kEndByte = 0xfe;
constexpr std::size_t kEndSizeMax = 8;  // a longer payload that begins so is a row
constexpr std::uint8_t kColumns = 2;

bool is_end(const Packet& packet) {
  return packet.first_byte() == kEndByte && packet.payload.size() <= kEndSizeMax;
}

// Steps from packet to packet of one answer.
class Answers {
 public:
  explicit Answers(std::string_view bytes) : bytes_(bytes) {}
  Packet next() {
    const Packet packet = parse_packet(bytes_.substr(size_));
    if (packet.parse == Parse::kComplete) size_ += packet.size();
    return packet;
  }
  std::size_t size() const { return size_; }

 private:
  std::string_view bytes_;
  std::size_t size_ = 0;
};

StatusAnswer with(StatusAnswer answer, Parse parse) {
  answer.parse = parse;
  return answer;
}

}  // namespace

std::string encode_query(std::string_view statement) {
  return encode_packet(0, kQuery + std::string(statement));
}

std::string encode_quit() { return encode_packet(0, std::string_view(&kQuit, 1)); }

StatusAnswer parse_status(std::string_view bytes) {
  StatusAnswer answer;
  Answers packets(bytes);
  Packet packet = packets.next();
  if (packet.parse != Parse::kComplete) return with(answer, packet.parse);
  if (packet.first_byte() == kErrorByte) {
    answer.failed = true;
    answer.size = packets.size();
    return with(answer, parse_error(packet.payload, answer.error));
  }
  if (packet.payload.size() != 1 || packet.first_byte() != kColumns) {
    return with(answer, Parse::kBad);
  }
  for (int i = 0; i <= kColumns; ++i) {
    packet = packets.next();
    if (packet.parse != Parse::kComplete) return with(answer, packet.parse);
    if (is_end(packet) != (i == kColumns)) return with(answer, Parse::kBad);
  }
  while (true) {
    packet = packets.next();
    if (packet.parse != Parse::kComplete) return with(answer, packet.parse);
    if (packet.first_byte() == kErrorByte) {
      answer.failed = true;
      answer.count_ = 0;
      answer.size = packets.size();
      return with(answer, parse_error(packet.payload, answer.error));
    }
    if (is_end(packet)) break;
    Cursor cursor(packet.payload);
    StatusRow row;
    row.name = cursor.counted();
    row.value = cursor.counted();
    if (cursor.bad() || !cursor.rest().empty() || answer.count_ == StatusAnswer::kRowsMax) {
      return with(answer, Parse::kBad);
    }
    answer.rows_[answer.count_++] = row;
  }
  answer.size = packets.size();
  return with(answer, Parse::kComplete);
}

}  // namespace nines::proxy::mysql
