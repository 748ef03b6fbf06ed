// The conversations. Statuses and texts are those that HAProxy 2.6 gives for the same
// answers, as compared with the real one.
#include "proxy/check_probe.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "proxy/keystone_check.h"
#include "proxy/mysql_handshake.h"

namespace nines::proxy {
namespace {

CheckOutcome outcome(CheckStatus status, int code = 0, std::string info = {}) {
  CheckOutcome result;
  result.status = status;
  result.code = code;
  result.info = std::move(info);
  return result;
}

void append_lower_case(std::string& out, std::string_view text) {
  for (const char c : text) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// A refusal has a plain text in HAProxy; what the kernel says without asking the peer is told as a
// "general socket error".
bool said_by_peer(int error_number) {
  return error_number == ECONNREFUSED || error_number == ECONNRESET ||
         error_number == EHOSTUNREACH || error_number == ETIMEDOUT;
}

bool about_the_way(int error_number) {
  return said_by_peer(error_number) || error_number == ENETUNREACH || error_number == ENETDOWN ||
         error_number == EHOSTDOWN;
}

}  // namespace

std::string encode_http_check(const CheckConfig& config) {
  std::string request = config.method + ' ' + config.uri + ' ' + config.version + "\r\n";
  const bool http11 = config.version == "HTTP/1.1";
  if (!config.host.empty()) request += "host: " + config.host + "\r\n";
  for (const auto& [name, value] : config.headers) {
    append_lower_case(request, name);
    request += ": " + value + "\r\n";
  }
  if (http11) request += "connection: close\r\n";
  return request + "\r\n";
}

CheckProbe::CheckProbe(CheckConfig config) : config_(std::move(config)) {
  if (config_.kind == CheckKind::kHttp) {
    opening_ = encode_http_check(config_);
    head_ = std::make_unique<http::ResponseHead>();
  } else if (config_.kind == CheckKind::kMysql && !config_.user.empty()) {
    opening_ = mysql::encode_login(config_.user, config_.auth);
  } else if (config_.kind == CheckKind::kKeystone) {
    opening_ = encode_token_request(config_.credentials);
    head_ = std::make_unique<http::ResponseHead>();
  } else if (config_.kind == CheckKind::kGalera) {
    galera_.emplace(config_.credentials, config_.donor_is_available ? DonorPolicy::kAvailable
                                                                    : DonorPolicy::kUnavailable);
  }
}

void CheckProbe::begin() {
  answer_.clear();
  to_send_ = {};
  greeting_size_ = 0;
  version_.clear();
  connected_ = false;
  if (galera_) galera_->begin();
}

std::optional<CheckOutcome> CheckProbe::on_connected() {
  connected_ = true;
  if (config_.kind == CheckKind::kConnect) return outcome(CheckStatus::kLayer4Ok);
  if (config_.kind == CheckKind::kHttp || config_.kind == CheckKind::kKeystone) {
    to_send_ = opening_;
  }
  return std::nullopt;
}

std::optional<CheckOutcome> CheckProbe::on_data(std::string_view bytes) {
  if (galera_) {
    std::optional<CheckOutcome> verdict = galera_->on_data(bytes);
    to_send_ = galera_->to_send();
    return verdict;
  }
  to_send_ = {};
  answer_ += bytes.substr(0, kAnswerMax - answer_.size());
  std::optional<CheckOutcome> verdict = judge();
  if (!verdict && answer_.size() == kAnswerMax) return outcome(CheckStatus::kLayer7Response);
  return verdict;
}

CheckOutcome CheckProbe::on_end() {
  to_send_ = {};
  if (galera_) return galera_->on_end();
  if (config_.kind == CheckKind::kMysql && answer_.empty()) {
    return outcome(CheckStatus::kLayer7Response, 0, "TCPCHK got an empty response at step 2");
  }
  return outcome(CheckStatus::kLayer7Response);
}

CheckOutcome CheckProbe::on_failed(const Error& error) {
  to_send_ = {};
  const int number = error.error_number();
  CheckOutcome result = outcome(CheckStatus::kSocketError);
  result.error_number = number;
  const std::string text = number != 0 ? std::strerror(number) : error.message();
  if (connected_ || said_by_peer(number)) {
    result.info = text;
  } else {
    result.info = "General socket error (" + text + ")";
  }
  if (!connected_ && about_the_way(number)) result.status = CheckStatus::kLayer4Connection;
  return result;
}

std::optional<CheckOutcome> CheckProbe::judge() {
  switch (config_.kind) {
    case CheckKind::kConnect:
      return outcome(CheckStatus::kLayer4Ok);
    case CheckKind::kHttp:
      return judge_http();
    case CheckKind::kMysql:
      return judge_mysql();
    case CheckKind::kKeystone:
      return judge_keystone();
    case CheckKind::kGalera:
      break;  // has its own conversation
  }
  return std::nullopt;
}

std::optional<http::Parse> CheckProbe::parse_answer_head(http::Method method) {
  for (;;) {
    const http::ParseResult parsed = http::parse_response(answer_, {}, method, *head_);
    if (parsed.status == http::Parse::kNeedMore) return std::nullopt;
    if (parsed.status == http::Parse::kBad || !head_->interim()) return parsed.status;
    answer_.erase(0, head_->size);  // RFC 9110 15.2: an interim answer comes before the real one
  }
}

std::optional<CheckOutcome> CheckProbe::judge_http() {
  const auto parsed =
      parse_answer_head(config_.method == "HEAD" ? http::Method::kHead : http::Method::kOther);
  if (!parsed) return std::nullopt;
  if (*parsed == http::Parse::kBad) return outcome(CheckStatus::kLayer7Response);
  const int status = head_->status;
  if (expected(status)) return outcome(CheckStatus::kLayer7Ok, status);
  return outcome(CheckStatus::kLayer7Status, status, std::string(head_->reason.in(answer_.data())));
}

std::optional<CheckOutcome> CheckProbe::judge_keystone() {
  const auto parsed = parse_answer_head(http::Method::kPost);
  if (!parsed) return std::nullopt;
  if (*parsed == http::Parse::kBad) return outcome(CheckStatus::kLayer7Response);
  return judge_token_answer(*head_, answer_);
}

bool CheckProbe::expected(int status) const {
  // "option httpchk": 2xx and 3xx are good when nothing else is asked for.
  if (config_.expected.empty()) return (status >= 200 && status < 400) != config_.expect_negated;
  for (const CheckConfig::StatusRange& range : config_.expected) {
    if (status >= range.first && status <= range.last) return !config_.expect_negated;
  }
  return config_.expect_negated;
}

std::optional<CheckOutcome> CheckProbe::judge_mysql() {
  const std::string_view bytes = answer_;
  mysql::Answer answer = greeting_size_ == 0
                             ? mysql::parse_greeting(bytes)
                             : mysql::parse_login_answer(bytes.substr(greeting_size_));
  if (answer.parse == mysql::Parse::kComplete && answer.kind == mysql::Answer::Kind::kGreeting &&
      !opening_.empty()) {
    greeting_size_ = answer.size;
    version_ = answer.greeting.version;
    to_send_ = opening_;
    answer = mysql::parse_login_answer(bytes.substr(greeting_size_));
  }
  if (answer.parse == mysql::Parse::kNeedMore) return std::nullopt;
  if (answer.parse == mysql::Parse::kBad) return outcome(CheckStatus::kLayer7Response);
  if (answer.kind == mysql::Answer::Kind::kError) {
    return outcome(CheckStatus::kLayer7Status, answer.error.code, std::string(answer.error.text));
  }
  // An authentication switch means that the user is known and the server works: passed, as HAProxy
  // has it. So is what it says of a server that is well: its version.
  if (answer.kind == mysql::Answer::Kind::kGreeting) version_ = answer.greeting.version;
  return outcome(CheckStatus::kLayer7Ok, 0, version_);
}

}  // namespace nines::proxy
