// Packets as MariaDB 10.11 and HAProxy's mysql-check send and expect them.
#include "lab/mysql_wire.h"

#include <array>

namespace nines::lab {
namespace {

// Capability flags.
constexpr std::uint32_t kLongPassword = 1u << 0;
constexpr std::uint32_t kLongFlag = 1u << 2;
constexpr std::uint32_t kProtocol41 = 1u << 9;
constexpr std::uint32_t kTransactions = 1u << 13;
constexpr std::uint32_t kSecureConnection = 1u << 15;
constexpr std::uint32_t kPluginAuth = 1u << 19;
constexpr std::uint32_t kServerCapabilities =
    kLongPassword | kLongFlag | kProtocol41 | kTransactions | kSecureConnection | kPluginAuth;

// First byte of a command.
constexpr std::uint8_t kCommandQuit = 0x01;
constexpr std::uint8_t kCommandInitDb = 0x02;
constexpr std::uint8_t kCommandQuery = 0x03;
constexpr std::uint8_t kCommandPing = 0x0e;

// First byte of an answer.
constexpr std::uint8_t kAnswerOk = 0x00;
constexpr std::uint8_t kAnswerEof = 0xfe;  // also: switch to another authentication
constexpr std::uint8_t kAnswerError = 0xff;

constexpr std::uint16_t kStatusAutocommit = 0x0002;
constexpr std::uint8_t kCharsetUtf8 = 33;
constexpr std::uint8_t kTypeVarString = 0xfd;
constexpr std::string_view kPlugin = "mysql_native_password";
constexpr std::string_view kVersion = "5.5.5-10.11.0-nines-lab";
// A stand-in accepts every password, so its challenge need not be a secret; it is as long as one.
constexpr std::string_view kChallenge = "nineslabnineslabnine";
constexpr std::size_t kChallengeFirst = 8;

void put_integer(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

// Only short texts occur: below 251 a length is one byte.
void put_text(std::string& out, std::string_view text) {
  text = text.substr(0, 250);
  out += static_cast<char>(text.size());
  out += text;
}

std::string ok_payload() {
  std::string out;
  out += static_cast<char>(kAnswerOk);
  put_integer(out, 0, 2);  // rows affected, last insert id
  put_integer(out, kStatusAutocommit, 2);
  put_integer(out, 0, 2);  // warnings
  return out;
}

std::string eof_payload() {
  std::string out;
  out += static_cast<char>(kAnswerEof);
  put_integer(out, 0, 2);
  put_integer(out, kStatusAutocommit, 2);
  return out;
}

std::string error_payload(std::uint16_t code, std::string_view state, std::string_view text) {
  std::string out;
  out += static_cast<char>(kAnswerError);
  put_integer(out, code, 2);
  out += '#';
  out += state;
  out += text;
  return out;
}

std::string column_payload(std::string_view name) {
  std::string out;
  put_text(out, "def");
  put_text(out, "");  // schema, table, original table
  put_text(out, "");
  put_text(out, "");
  put_text(out, name);
  put_text(out, "");
  out += '\x0c';  // length of what follows
  put_integer(out, kCharsetUtf8, 2);
  put_integer(out, 255, 4);  // display width
  out += static_cast<char>(kTypeVarString);
  put_integer(out, 0, 2);  // flags
  put_integer(out, 0, 3);  // decimals, filler
  return out;
}

bool is_select(std::string_view query) {
  constexpr std::string_view kSelect = "SELECT";
  while (!query.empty() && (query.front() == ' ' || query.front() == '\n')) query.remove_prefix(1);
  if (query.size() < kSelect.size()) return false;
  for (std::size_t i = 0; i < kSelect.size(); ++i) {
    if ((query[i] & ~0x20) != kSelect[i]) return false;
  }
  return true;
}

}  // namespace

std::string mysql_packet(std::uint8_t sequence, std::string_view payload) {
  std::string out;
  put_integer(out, payload.size(), 3);
  out += static_cast<char>(sequence);
  out += payload;
  return out;
}

std::optional<MysqlPackets::Packet> MysqlPackets::next() {
  constexpr std::size_t kHeader = 4;
  if (too_long_ || pending_.size() < kHeader) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(pending_[i]); };
  const std::size_t size = byte(0) | byte(1) << 8 | byte(2) << 16;
  if (size > kMysqlPacketMax) {
    too_long_ = true;
    return std::nullopt;
  }
  if (pending_.size() < kHeader + size) return std::nullopt;
  Packet packet{.sequence = byte(3), .payload = pending_.substr(kHeader, size)};
  pending_.erase(0, kHeader + size);
  return packet;
}

std::string MysqlServer::greeting() const {
  std::string out;
  out += '\x0a';  // protocol version
  out += kVersion;
  out += '\0';
  put_integer(out, id_, 4);
  out += kChallenge.substr(0, kChallengeFirst);
  out += '\0';
  put_integer(out, kServerCapabilities & 0xffff, 2);
  out += static_cast<char>(kCharsetUtf8);
  put_integer(out, kStatusAutocommit, 2);
  put_integer(out, kServerCapabilities >> 16, 2);
  out += static_cast<char>(kChallenge.size() + 1);
  out.append(10, '\0');
  out += kChallenge.substr(kChallengeFirst);
  out += '\0';
  out += kPlugin;
  out += '\0';
  return mysql_packet(0, out);
}

bool MysqlServer::feed(std::string_view bytes, std::string& out) {
  if (state_ == State::kClosed) return false;
  packets_.append(bytes);
  while (auto packet = packets_.next()) {
    if (state_ == State::kHandshake) {
      state_ = State::kCommands;
      out += mysql_packet(static_cast<std::uint8_t>(packet->sequence + 1), ok_payload());
      continue;
    }
    run_command(*packet, out);
    if (state_ == State::kClosed) return false;
  }
  if (packets_.too_long()) {
    state_ = State::kClosed;
    out += mysql_packet(1, error_payload(1153, "08S01", "Got a packet bigger than this takes"));
  }
  return state_ != State::kClosed;
}

void MysqlServer::run_command(const MysqlPackets::Packet& packet, std::string& out) {
  auto sequence = packet.sequence;
  const auto put = [&](std::string_view payload) { out += mysql_packet(++sequence, payload); };
  const auto command = packet.payload.empty() ? 0 : static_cast<std::uint8_t>(packet.payload[0]);
  switch (command) {
    case kCommandQuit:
      state_ = State::kClosed;
      return;
    case kCommandInitDb:
    case kCommandPing:
      put(ok_payload());
      return;
    case kCommandQuery: {
      const std::string_view query = std::string_view(packet.payload).substr(1);
      if (!is_select(query)) return put(ok_payload());
      put("\x01");  // columns
      put(column_payload(query.substr(query.find_first_not_of(" \n") + 6)));
      put(eof_payload());
      std::string row;
      put_text(row, node_);
      put(row);
      put(eof_payload());
      return;
    }
    default:
      put(error_payload(1047, "08S01", "Unknown command"));
      return;
  }
}

MysqlClient::Progress MysqlClient::feed(std::string_view bytes, std::string& out) {
  packets_.append(bytes);
  while (auto packet = packets_.next()) {
    const Progress progress = take(*packet, out);
    if (progress != Progress::kMore) return progress;
  }
  if (packets_.too_long()) return fail("a packet longer than any that was asked for");
  return Progress::kMore;
}

MysqlClient::Progress MysqlClient::take(const MysqlPackets::Packet& packet, std::string& out) {
  const std::string_view payload = packet.payload;
  if (payload.empty()) return fail("an empty packet");
  const auto first = static_cast<std::uint8_t>(payload[0]);
  if (first == kAnswerError) {
    if (payload.size() >= 3) {
      error_code_ = static_cast<std::uint16_t>(static_cast<std::uint8_t>(payload[1]) |
                                               static_cast<std::uint8_t>(payload[2]) << 8);
    }
    return fail("error: " + std::string(payload.substr(1)));
  }
  const auto next = static_cast<std::uint8_t>(packet.sequence + 1);
  switch (state_) {
    case State::kGreeting: {
      std::string login;
      put_integer(login,
                  kLongPassword | kProtocol41 | kTransactions | kSecureConnection | kPluginAuth, 4);
      put_integer(login, kMysqlPacketMax, 4);
      login += static_cast<char>(kCharsetUtf8);
      login.append(23, '\0');
      login += user_;
      login += '\0';
      login += '\0';  // an empty password
      login += kPlugin;
      login += '\0';
      out += mysql_packet(next, login);
      state_ = State::kLogin;
      return Progress::kMore;
    }
    case State::kLogin:
      if (first == kAnswerEof) {  // another plugin: an empty password is empty there too
        out += mysql_packet(next, "");
        return Progress::kMore;
      }
      if (first != kAnswerOk) return fail("an unknown answer to the login");
      ask_again(out);
      return Progress::kMore;
    case State::kAnswer:
      if (++answers_ == 1 && first != 1) return fail("an answer that has not one column");
      if (first == kAnswerEof && payload.size() < 9) {
        if (++ends_ < 2) return Progress::kMore;
        if (node_.empty()) return fail("no row");
        if (afterwards_ == Afterwards::kQuit) {
          out += mysql_packet(0, std::string(1, static_cast<char>(kCommandQuit)));
        }
        state_ = State::kDone;
        return Progress::kDone;
      }
      if (ends_ == 1) node_ = payload.substr(1, first);
      return Progress::kMore;
    case State::kStatement:
      if (first != kAnswerOk) return fail("an unknown answer to a statement");
      state_ = State::kDone;
      return Progress::kDone;
    case State::kDone:
      return Progress::kDone;
  }
  return Progress::kMore;
}

void MysqlClient::run(std::string_view statement, std::string& out) {
  out += mysql_packet(0, std::string(1, static_cast<char>(kCommandQuery)).append(statement));
  state_ = State::kStatement;
}

void MysqlClient::ask_again(std::string& out) {
  out += mysql_packet(0, std::string(1, static_cast<char>(kCommandQuery)) + "SELECT @@hostname");
  state_ = State::kAnswer;
  node_.clear();
  ends_ = 0;
  answers_ = 0;
}

MysqlClient::Progress MysqlClient::fail(std::string reason) {
  reason_ = std::move(reason);
  return Progress::kFailed;
}

}  // namespace nines::lab
