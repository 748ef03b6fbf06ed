// libmariadb suspends itself on a stack of its own and says what it waits for; we wait on the loop
// and let it go on.
#include "galera/server_client.h"

#include <algorithm>

#include <errmsg.h>
#include <mysqld_error.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/check.h"

namespace nines::galera {

namespace {

constexpr std::size_t kSaidMax = 300;  // bytes of a server's words
constexpr int kUnwindMax = 16;         // steps of the library from "timed out" to its end

std::string words(const char* said) {
  std::string out;
  for (const char* c = said; *c != '\0' && out.size() < kSaidMax; ++c) {
    out += *c >= ' ' && *c <= '~' ? *c : '?';
  }
  return out;
}

// Whether no server is there, as opposed to one that says nothing.
bool is_refusal(unsigned error) {
  return error == CR_CONNECTION_ERROR || error == CR_CONN_HOST_ERROR;
}

bool is_denial(unsigned error) {
  return error == ER_ACCESS_DENIED_ERROR || error == ER_DBACCESS_DENIED_ERROR ||
         error == ER_HOST_NOT_PRIVILEGED || error == ER_HOST_IS_BLOCKED ||
         error == ER_CON_COUNT_ERROR || error == CR_AUTH_PLUGIN_CANNOT_LOAD ||
         error == CR_AUTH_PLUGIN_ERR;
}

}  // namespace

ServerClient::~ServerClient() { drop(); }

void ServerClient::ask(std::vector<std::string> statements, Duration patience, Done done) {
  CHECK(!done_);
  statements_ = std::move(statements);
  next_ = 0;
  answer_ = {};
  done_ = std::move(done);
  loop_.arm(*this, patience);
  begin();
}

void ServerClient::begin() {
  if (is_connected_) {
    stage_ = Stage::kQuery;
    advance(start_stage());
    return;
  }
  mysql_init(&mysql_);
  is_open_ = true;
  // A server may ask its client for any file, or for the password in clear text.
  const unsigned no = 0;
  const unsigned long answer_max = kAnswerMax;
  mysql_options(&mysql_, MYSQL_OPT_NONBLOCK, nullptr);
  mysql_options(&mysql_, MYSQL_OPT_LOCAL_INFILE, &no);
  mysql_options(&mysql_, MYSQL_OPT_MAX_ALLOWED_PACKET, &answer_max);
  mysql_options(&mysql_, MARIADB_OPT_RESTRICTED_AUTH,
                "mysql_native_password,client_ed25519,caching_sha2_password");
  const unsigned protocol = login_.server.is_ip() ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
  mysql_options(&mysql_, MYSQL_OPT_PROTOCOL, &protocol);
  stage_ = Stage::kConnect;
  advance(start_stage());
}

int ServerClient::start_stage() {
  is_suspended_ = true;
  switch (stage_) {
    case Stage::kConnect: {
      const bool is_ip = login_.server.is_ip();
      return mysql_real_connect_start(&connected_, &mysql_, is_ip ? host_.c_str() : nullptr,
                                      login_.user.c_str(), login_.password.c_str(), nullptr,
                                      is_ip ? login_.server.port() : 0,
                                      is_ip ? nullptr : login_.server.path().c_str(), 0);
    }
    case Stage::kQuery: {
      const std::string& statement = statements_[next_];
      return mysql_real_query_start(&query_result_, &mysql_, statement.data(), statement.size());
    }
    case Stage::kStore:
      return mysql_store_result_start(&rows_, &mysql_);
  }
  return 0;
}

int ServerClient::continue_stage(int events) {
  switch (stage_) {
    case Stage::kConnect:
      return mysql_real_connect_cont(&connected_, &mysql_, events);
    case Stage::kQuery:
      return mysql_real_query_cont(&query_result_, &mysql_, events);
    case Stage::kStore:
      return mysql_store_result_cont(&rows_, &mysql_, events);
  }
  return 0;
}

void ServerClient::advance(int wait) {
  while (wait == 0) {
    is_suspended_ = false;
    const auto next = stage_done();
    if (!next) return;
    wait = *next;
  }
  watch(wait);
}

// What the next stage waits for; nothing: the conversation is over.
std::optional<int> ServerClient::stage_done() {
  switch (stage_) {
    case Stage::kConnect:
      if (connected_ == nullptr) return fail(), std::nullopt;
      is_connected_ = true;
      stage_ = Stage::kQuery;
      break;
    case Stage::kQuery:
      if (query_result_ != 0) return fail(), std::nullopt;
      stage_ = Stage::kStore;
      break;
    case Stage::kStore:
      if (!take_rows()) return fail(), std::nullopt;
      ++next_;
      stage_ = Stage::kQuery;
      break;
  }
  if (stage_ == Stage::kQuery && next_ == statements_.size()) {
    answer_.contact = Look::Contact::kAnswered;
    finish();
    return std::nullopt;
  }
  return start_stage();
}

bool ServerClient::take_rows() {
  MYSQL_RES* const rows = std::exchange(rows_, nullptr);
  if (rows == nullptr) return mysql_errno(&mysql_) == 0;  // a statement without rows
  const unsigned columns = mysql_num_fields(rows);
  while (const MYSQL_ROW row = mysql_fetch_row(rows)) {
    if (answer_.rows.size() == kRowsMax) break;
    const unsigned long* const sizes = mysql_fetch_lengths(rows);
    const auto column = [&](unsigned i) {
      return i < columns && row[i] != nullptr ? std::string(row[i], sizes[i]) : std::string();
    };
    answer_.rows.emplace_back(column(0), column(1));
  }
  mysql_free_result(rows);
  return true;
}

void ServerClient::watch(int wait) {
  unwatch();
  std::uint32_t events = 0;
  if ((wait & MYSQL_WAIT_READ) != 0) events |= EPOLLIN;
  if ((wait & MYSQL_WAIT_WRITE) != 0) events |= EPOLLOUT;
  if ((wait & MYSQL_WAIT_EXCEPT) != 0) events |= EPOLLPRI;
  watch_ = loop_.watch_descriptor(static_cast<int>(mysql_get_socket(&mysql_)), events,
                                  [this, wait](std::uint32_t seen) {
                                    int happened = 0;
                                    if ((seen & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                                      happened |= MYSQL_WAIT_READ;
                                    if ((seen & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
                                      happened |= MYSQL_WAIT_WRITE;
                                    if ((seen & EPOLLPRI) != 0) happened |= MYSQL_WAIT_EXCEPT;
                                    unwatch();
                                    advance(continue_stage(happened & wait));
                                  });
}

void ServerClient::unwatch() {
  if (watch_ != 0) loop_.unwatch_descriptor(std::exchange(watch_, 0));
}

void ServerClient::on_timer(Instant) {
  if (!done_) return;
  answer_.contact = Look::Contact::kSilent;
  answer_.said = is_connected_ ? "no answer in time" : "no connection in time";
  drop();
  finish();
}

// The server said no to a statement, or the connection is of no use any more.
void ServerClient::fail() {
  const unsigned error = mysql_errno(&mysql_);
  answer_.said = words(mysql_error(&mysql_));
  if (is_connected_ && error < CR_MIN_ERROR && error != 0) {
    answer_.contact = Look::Contact::kAnswered;
    answer_.error = error;
  } else if (is_denial(error)) {
    answer_.contact = Look::Contact::kDenied;
  } else {
    answer_.contact = is_refusal(error) ? Look::Contact::kRefused : Look::Contact::kSilent;
  }
  drop();
  finish();
}

void ServerClient::finish() {
  cancel();
  // Later, so that ask() has returned and whoever asked may destroy us.
  loop_.post([done = std::exchange(done_, nullptr), answer = std::move(answer_)]() mutable {
    done(std::move(answer));
  });
}

void ServerClient::drop() {
  unwatch();
  if (!is_open_) return;
  if (is_suspended_) {
    // The library's own stack is unwound by telling it that its time is up.
    ::shutdown(static_cast<int>(mysql_get_socket(&mysql_)), SHUT_RDWR);
    int wait = 1;
    for (int i = 0; i < kUnwindMax && wait != 0; ++i) wait = continue_stage(MYSQL_WAIT_TIMEOUT);
    is_suspended_ = false;
  }
  if (rows_ != nullptr) mysql_free_result(std::exchange(rows_, nullptr));
  mysql_close(&mysql_);
  is_open_ = is_connected_ = false;
}

}  // namespace nines::galera
