// The MySQL client/server protocol as far as a stand-in server and a measuring client need it:
// handshake v10, authentication that always succeeds, COM_QUERY with one row, COM_PING, COM_QUIT
// (MySQL Internals, "Client/Server Protocol"). Pure: bytes in, bytes out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nines::lab {

// A packet's payload, at most; a client that sends more is cut off.
inline constexpr std::size_t kMysqlPacketMax = 1u << 20;

// Cuts a stream of bytes into packets: 3 bytes of length, a sequence number, the payload.
class MysqlPackets {
 public:
  struct Packet {
    std::uint8_t sequence = 0;
    std::string payload;
  };
  void append(std::string_view bytes) { pending_.append(bytes); }
  // The next whole packet. Nothing while more bytes are needed, and for good once too_long().
  std::optional<Packet> next();
  bool too_long() const { return too_long_; }

 private:
  std::string pending_;
  bool too_long_ = false;
};

std::string mysql_packet(std::uint8_t sequence, std::string_view payload);

// The server's side of one session.
//   kHandshake --client's answer--> kCommands --COM_QUIT or nonsense--> kClosed
class MysqlServer {
 public:
  MysqlServer(std::string node, std::uint32_t session) : node_(std::move(node)), id_(session) {}

  std::string greeting() const;  // send this first
  // Appends the answers to `out`. False once the session is over: send `out`, then close.
  bool feed(std::string_view bytes, std::string& out);

 private:
  enum class State : std::uint8_t { kHandshake, kCommands, kClosed };
  void run_command(const MysqlPackets::Packet& packet, std::string& out);

  MysqlPackets packets_;
  std::string node_;
  std::uint32_t id_;
  State state_ = State::kHandshake;
};

// The client's side of one session: greeting, log in, ask who answers, and then quit or stay.
//   kGreeting --> kLogin --> kAnswer --row and end--> kDone --ask_again()--> kAnswer
//                               kStatement --done--> kDone --run()--> kStatement
class MysqlClient {
 public:
  enum class Afterwards : std::uint8_t { kQuit, kStay };
  explicit MysqlClient(std::string user, Afterwards afterwards = Afterwards::kQuit)
      : user_(std::move(user)), afterwards_(afterwards) {}

  enum class Progress : std::uint8_t { kMore, kDone, kFailed };
  // Appends what to send to `out`; on kDone that is COM_QUIT, or nothing for one who stays.
  Progress feed(std::string_view bytes, std::string& out);
  // For one who stays, after kDone: appends the next question.
  void ask_again(std::string& out);
  // The same: a statement that gives back no rows.
  void run(std::string_view statement, std::string& out);
  const std::string& node() const { return node_; }      // of kDone: who answered
  const std::string& reason() const { return reason_; }  // of kFailed
  // Of kFailed: the server's own error number; 0 when it was not the server that said so.
  std::uint16_t error_code() const { return error_code_; }

 private:
  enum class State : std::uint8_t { kGreeting, kLogin, kAnswer, kStatement, kDone };
  Progress take(const MysqlPackets::Packet& packet, std::string& out);
  Progress fail(std::string reason);

  MysqlPackets packets_;
  std::string user_;
  Afterwards afterwards_;
  std::string node_;
  std::string reason_;
  std::uint16_t error_code_ = 0;
  State state_ = State::kGreeting;
  int ends_ = 0;     // EOF packets seen: one behind the columns, one behind the rows
  int answers_ = 0;  // packets of the answer seen
};

}  // namespace nines::lab
