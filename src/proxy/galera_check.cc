// Whatever a server says reaches people only bounded and behind our own words; what it sends out of
// turn is a broken answer.
#include "proxy/galera_check.h"

#include <utility>

#include "proxy/mysql_password.h"
#include "proxy/mysql_status.h"

namespace nines::proxy {
namespace {

constexpr std::string_view kQuery =
    "SHOW GLOBAL STATUS WHERE Variable_name IN "
    "('wsrep_ready','wsrep_local_state','wsrep_cluster_status')";
constexpr std::size_t kShownMax = 32;  // bytes of a server's own word in a message

CheckOutcome outcome(CheckStatus status, std::string info, int code = 0) {
  CheckOutcome result;
  result.status = status;
  result.code = code;
  result.info = std::move(info);
  return result;
}

CheckOutcome broken(std::string_view when) {
  return outcome(CheckStatus::kLayer7Response, "not the MySQL protocol " + std::string(when));
}

// The text of an error packet behind its "#SSSSS".
CheckOutcome refused(std::string_view when, const mysql::ServerError& error) {
  constexpr std::size_t kTextMax = 160;
  return outcome(CheckStatus::kLayer7Status,
                 std::string(when) + ": " + std::string(error.text.substr(0, kTextMax)),
                 error.code);
}

std::string shown(std::string_view name, std::string_view value) {
  return std::string(name) + "=" + std::string(value.empty() ? "?" : value.substr(0, kShownMax));
}

}  // namespace

CheckOutcome judge_galera(const GaleraStatus& status, DonorPolicy donor) {
  if (status.ready.empty() && status.local_state.empty() && status.cluster_status.empty()) {
    return outcome(CheckStatus::kLayer7Status, "the server knows no wsrep status: not Galera");
  }
  const bool synced = status.local_state == "4";
  const bool donating = status.local_state == "2";
  if (status.ready == "ON" && status.cluster_status == "Primary" &&
      (synced || (donating && donor == DonorPolicy::kAvailable))) {
    return outcome(CheckStatus::kLayer7Ok, synced ? "Synced" : "Donor/Desynced");
  }
  return outcome(CheckStatus::kLayer7Status,
                 shown("wsrep_ready", status.ready) + " " +
                     shown("wsrep_local_state", status.local_state) + " " +
                     shown("wsrep_cluster_status", status.cluster_status));
}

GaleraCheck::GaleraCheck(CheckCredentials credentials, DonorPolicy donor)
    : credentials_(std::move(credentials)), donor_(donor) {}

void GaleraCheck::begin() {
  stage_ = Stage::kGreeting;
  switched_ = false;
  answer_.clear();
  to_send_.clear();
}

std::optional<CheckOutcome> GaleraCheck::on_data(std::string_view bytes) {
  to_send_.clear();
  if (bytes.size() > kAnswerMax - answer_.size()) return broken("(too much of it)");
  answer_ += bytes;
  std::optional<CheckOutcome> verdict;
  do {
    progress_ = false;
    switch (stage_) {
      case Stage::kGreeting:
        verdict = take_greeting();
        break;
      case Stage::kLogin:
        verdict = take_login();
        break;
      case Stage::kStatus:
        verdict = take_status();
        break;
    }
  } while (!verdict && progress_);
  return verdict;
}

CheckOutcome GaleraCheck::on_end() const {
  switch (stage_) {
    case Stage::kGreeting:
      return outcome(CheckStatus::kLayer7Response, "closed before its greeting");
    case Stage::kLogin:
      return outcome(CheckStatus::kLayer7Response, "closed during the login");
    case Stage::kStatus:
      break;
  }
  return outcome(CheckStatus::kLayer7Response, "closed instead of telling its wsrep status");
}

void GaleraCheck::advance(Stage stage, std::size_t size) {
  answer_.erase(0, size);
  stage_ = stage;
  progress_ = true;
}

std::optional<CheckOutcome> GaleraCheck::take_greeting() {
  const mysql::Answer answer = mysql::parse_greeting(answer_);
  if (answer.parse == mysql::Parse::kNeedMore) return std::nullopt;
  if (answer.parse == mysql::Parse::kBad) return broken("in the greeting");
  if (answer.kind == mysql::Answer::Kind::kError) return refused("greeting", answer.error);
  const mysql::Challenge& challenge = answer.greeting.challenge;
  if (challenge.size != mysql::kChallengeSize) {
    return outcome(CheckStatus::kLayer7Response, "the server's login is older than MySQL 4.1");
  }
  to_send_ += mysql::encode_password_login(
      credentials_.user, mysql::native_password_answer(credentials_.password, challenge.text()),
      static_cast<std::uint8_t>(answer.sequence + 1));
  advance(Stage::kLogin, answer.size);
  return std::nullopt;
}

std::optional<CheckOutcome> GaleraCheck::take_login() {
  const mysql::Answer answer = mysql::parse_login_answer(answer_);
  if (answer.parse == mysql::Parse::kNeedMore) return std::nullopt;
  if (answer.parse == mysql::Parse::kBad) return broken("in the answer to the login");
  switch (answer.kind) {
    case mysql::Answer::Kind::kError:
      return refused("login", answer.error);
    case mysql::Answer::Kind::kOk:
      to_send_ += mysql::encode_query(kQuery);
      advance(Stage::kStatus, answer.size);
      return std::nullopt;
    case mysql::Answer::Kind::kAuthSwitch: {
      // Its user is of another method than the server's default; ours is the one we have.
      const mysql::Challenge& challenge = answer.auth_switch.challenge;
      if (!switched_ && answer.auth_switch.plugin == mysql::kNativePassword &&
          challenge.size == mysql::kChallengeSize) {
        switched_ = true;
        to_send_ += mysql::encode_packet(
            static_cast<std::uint8_t>(answer.sequence + 1),
            mysql::native_password_answer(credentials_.password, challenge.text()));
        advance(Stage::kLogin, answer.size);
        return std::nullopt;
      }
      return outcome(CheckStatus::kLayer7Status,
                     "the user's login method is '" +
                         std::string(answer.auth_switch.plugin.substr(0, kShownMax)) +
                         "': give it mysql_native_password");
    }
    case mysql::Answer::Kind::kAuthMoreData:
    case mysql::Answer::Kind::kGreeting:
      break;
  }
  return broken("in the login");
}

std::optional<CheckOutcome> GaleraCheck::take_status() {
  const mysql::StatusAnswer answer = mysql::parse_status(answer_);
  if (answer.parse == mysql::Parse::kNeedMore) return std::nullopt;
  if (answer.parse == mysql::Parse::kBad) return broken("in the wsrep status");
  to_send_ = mysql::encode_quit();
  if (answer.failed) return refused("wsrep status", answer.error);
  GaleraStatus status;
  for (const mysql::StatusRow& row : answer.rows()) {
    if (row.name == "wsrep_ready") status.ready = row.value;
    if (row.name == "wsrep_local_state") status.local_state = row.value;
    if (row.name == "wsrep_cluster_status") status.cluster_status = row.value;
  }
  return judge_galera(status, donor_);
}

}  // namespace nines::proxy
