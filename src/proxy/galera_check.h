// "option galera-check": logs in to a MariaDB server, asks what its wsrep provider says of itself,
// and judges as operators' clustercheck scripts do. One attempt as a conversation; bytes in, bytes
// and a verdict out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/check.h"
#include "proxy/check_credentials.h"
#include "proxy/mysql_handshake.h"

namespace nines::proxy {

// What a node's status variables say; empty: the server has no such variable.
struct GaleraStatus {
  std::string_view ready;           // wsrep_ready: ON, OFF
  std::string_view local_state;     // wsrep_local_state: 1 joining, 2 donor or desynced, 3 joined,
                                    // 4 synced
  std::string_view cluster_status;  // wsrep_cluster_status: Primary, non-Primary, Disconnected
};

enum class DonorPolicy : std::uint8_t {
  kUnavailable,  // a node that feeds another one, or was desynced by hand, gets no sessions
  kAvailable,    // clustercheck's "available when donor"
};

// L7OK with the state's name, or L7STS with what the node said.
CheckOutcome judge_galera(const GaleraStatus& status, DonorPolicy donor);

//        greeting              OK or challenge         rows
//  kGreeting ──▶ kLogin ⟲ one switch of method ──▶ kStatus ──▶ a verdict
class GaleraCheck {
 public:
  // What one packet of an answer and all of one stage may take, in bytes.
  static constexpr std::size_t kAnswerMax = 16384;

  GaleraCheck(CheckCredentials credentials, DonorPolicy donor);

  void begin();
  // All that the server sent. With a verdict to_send() says goodbye.
  std::optional<CheckOutcome> on_data(std::string_view bytes);
  // The server ended the conversation.
  CheckOutcome on_end() const;
  std::string_view to_send() const { return to_send_; }  // until the next call

 private:
  enum class Stage : std::uint8_t { kGreeting, kLogin, kStatus };

  // Each takes one packet or group from the front of `answer_`. Nothing: more bytes are needed, or
  // (`progress_` is set) the next stage has begun.
  std::optional<CheckOutcome> take_greeting();
  std::optional<CheckOutcome> take_login();
  std::optional<CheckOutcome> take_status();
  void advance(Stage stage, std::size_t size);

  CheckCredentials credentials_;
  DonorPolicy donor_;
  Stage stage_ = Stage::kGreeting;
  bool switched_ = false;
  bool progress_ = false;
  std::string answer_;
  std::string to_send_;
};

}  // namespace nines::proxy
