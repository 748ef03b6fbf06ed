// One attempt of a health check as a conversation: what to say when, and what the answer means
// (sections 4.2 "option httpchk", "http-check expect", "option mysql-check"; galera-check and
// keystone-check are ours). Bytes in, verdict out; when to begin and when to give up is the
// CheckMachine's business.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "proxy/check.h"
#include "proxy/galera_check.h"
#include "proxy/proxy_config.h"

namespace nines::proxy {

// What a probe of this kind sends as soon as it is connected; empty for kinds that wait.
std::string encode_http_check(const CheckConfig& config);

// Reused for attempt after attempt. Duties of the driver, in order:
//   begin(); connect; on_connected() -> send what `to_send()` says, or a verdict at once;
//   on_data() for all bytes: after each, send what `to_send()` says; a verdict ends the attempt.
class CheckProbe {
 public:
  // An answer may be as large as this before its verdict; more is L7RSP.
  static constexpr std::size_t kAnswerMax = 16384;

  // `config` is copied.
  explicit CheckProbe(CheckConfig config);

  void begin();
  std::optional<CheckOutcome> on_connected();
  std::optional<CheckOutcome> on_data(std::string_view bytes);
  // The peer ended the conversation. Always a verdict.
  CheckOutcome on_end();
  // The connection failed, before or after it was established. Always a verdict.
  CheckOutcome on_failed(const Error& error);

  // Bytes to be sent now; empty: none. Valid until the next call.
  std::string_view to_send() const { return to_send_; }
  const CheckConfig& config() const { return config_; }
  // A conversation that the server opens.
  bool server_speaks_first() const {
    return config_.kind == CheckKind::kMysql || config_.kind == CheckKind::kGalera;
  }

 private:
  std::optional<CheckOutcome> judge();
  std::optional<CheckOutcome> judge_http();
  std::optional<CheckOutcome> judge_mysql();
  std::optional<CheckOutcome> judge_keystone();
  // The head of the answer, interim ones stepped over; nothing while it is incomplete.
  std::optional<http::Parse> parse_answer_head(http::Method method);
  bool expected(int status) const;

  CheckConfig config_;
  std::string opening_;  // what is sent first (HTTP), or after the greeting (MySQL)
  std::string_view to_send_;
  std::string answer_;
  std::size_t greeting_size_ = 0;  // MySQL: bytes of the greeting, once it is complete
  std::string version_;            // MySQL: as the greeting says it
  bool connected_ = false;
  std::unique_ptr<http::ResponseHead> head_;
  std::optional<GaleraCheck> galera_;
};

}  // namespace nines::proxy
