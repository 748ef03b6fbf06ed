// Sessions, a class for each kind, and the pace.
#include "lab/drill_load.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "http/chunked.h"
#include "lab/http_answer.h"
#include "lab/mysql_wire.h"
#include "lab/real_services.h"
#include "lab/websocket.h"

namespace nines::lab {
namespace {

// A client that was held up skips what it missed instead of sending it all at once.
constexpr int kBehindMax = 10;
// So that the services' requests do not all leave in the same millisecond.
constexpr Duration kStagger = 3ms;
constexpr std::size_t kNodesMax = 100;
constexpr std::size_t kAnswerMax = 1u << 20;  // bytes of one answer
constexpr int kStatusBad = 500;               // from here on an answer is a failure
// A token costs a real keystone a tenth of a second of a CPU, whatever else is measured.
constexpr Duration kTokenInterval = 250ms;

constexpr std::string_view kClosedEarly = "closed early";
constexpr std::string_view kMalformed = "malformed";

std::string_view reason_of_status(int status) {
  switch (status) {
    case 401:
      return "401";
    case 404:
      return "404";
    case 500:
      return "500";
    case 502:
      return "502";
    case 503:
      return "503";
    case 504:
      return "504";
    default:
      return status < kStatusBad ? "not what was asked for" : "5xx";
  }
}

// MariaDB's and Galera's error numbers that failures bring about.
std::string_view reason_of_error(std::uint16_t code) {
  switch (code) {
    case 0:
      return kMalformed;
    case 1047:
      return "no majority";  // "WSREP has not yet prepared node for application use"
    case 1053:
      return "shutting down";
    case 1180:
    case 1213:
      return "deadlock";  // a conflict that certification found, or a commit that was undone
    default:
      return "database error";
  }
}

}  // namespace

// One whole session. Ends itself through DrillLoad::end_session(), after which it is gone.
class DrillLoad::Session : public io::StreamHandler {
 public:
  Session(DrillLoad& load, std::size_t target, std::uint64_t id)
      : load_(load),
        target_(target),
        id_(id),
        begun_(load.loop_.now()),
        stream_(
            &load.loop_.connect(load.targets_[target].address, options_of(load, target), *this)) {}
  ~Session() override { stream_->close(); }

  std::size_t target() const { return target_; }
  Instant begun() const { return begun_; }
  // The window whose audit it belongs to; such a session is in no record.
  virtual std::optional<std::size_t> audit() const { return std::nullopt; }

  void on_data(io::Stream&, io::LentBytes bytes) final {
    pending_.append(bytes.view());
    if (pending_.size() > kAnswerMax) return fail(kMalformed);
    take();
  }
  void on_end(io::Stream&) override { fail(kClosedEarly); }
  void on_failed(io::Stream&, const Error& error) final { fail(base::name_of(error.code())); }

 protected:
  // Looks at pending_. Ends the session at most once, and touches nothing afterwards.
  virtual void take() = 0;
  void succeed(std::string node) { load_.end_session(id_, Outcome::kSuccess, {}, node); }
  void fail(std::string_view reason) { load_.end_session(id_, Outcome::kFailed, reason, {}); }
  // The head of an answer at the front of pending_; empty while more is needed. On nonsense the
  // session has been ended: `ended` says so.
  const http::ResponseHead* parse_head(bool& ended) {
    auto& head = *load_.head_;
    const auto parsed = http::parse_response(pending_, {}, http::Method::kGet, head);
    ended = parsed.status == http::Parse::kBad;
    if (ended) fail(kMalformed);
    return parsed.status == http::Parse::kComplete ? &head : nullptr;
  }
  std::string node_of(const http::ResponseHead& head) const {
    const auto* field = http::find_field(head, pending_.data(), kNodeField);
    return field == nullptr ? std::string() : std::string(field->value.in(pending_.data()));
  }
  const LoadTarget& service() const { return load_.targets_[target_]; }
  io::Stream& stream() { return *stream_; }
  DrillLoad& load() { return load_; }
  std::uint64_t id() const { return id_; }
  // The same session goes on over a connection of its own.
  void connect_again() {
    stream_->close();
    pending_.clear();
    stream_ = &load_.loop_.connect(service().address, options_of(load_, target_), *this);
  }
  static io::ConnectOptions options_of(const DrillLoad& load, std::size_t target) {
    io::ConnectOptions options;
    options.peer_may_speak_first = load.targets_[target].service->kind == StandInKind::kMysql;
    return options;
  }

  std::string pending_;

 private:
  DrillLoad& load_;
  std::size_t target_;
  std::uint64_t id_;
  Instant begun_;
  io::Stream* stream_;
};

class DrillLoad::HttpSession : public Session {
 public:
  using Session::Session;
  void on_connected(io::Stream&) override { stream().send(request()); }
  void on_end(io::Stream&) override {
    if (until_close_) return finish();
    fail(kClosedEarly);
  }

 protected:
  virtual std::string request() const {
    const bool is_keystone = service().service->service.starts_with("keystone");
    return "GET " + std::string(is_keystone ? "/v3" : "/") +
           " HTTP/1.1\r\nHost: vip\r\nUser-Agent: nines-drill\r\nConnection: close\r\n\r\n";
  }
  // Called with the head still in pending_.
  virtual void on_head(const http::ResponseHead& head) { node_ = node_of(head); }
  // The answer is whole.
  virtual void finish() {
    if (status_ >= kStatusBad) return fail(reason_of_status(status_));
    succeed(node_);
  }
  int status() const { return status_; }
  void expect_another() {
    head_seen_ = until_close_ = false;
    chunks_ = http::ChunkScanner();
  }

 private:
  void take() override {
    while (!head_seen_) {
      bool ended = false;
      const auto* head = parse_head(ended);
      if (head == nullptr) return;
      const bool interim = head->interim();
      if (!interim) {
        head_seen_ = true;
        status_ = head->status;
        on_head(*head);
        framing_ = head->framing;
        left_ = head->framing == http::Framing::kLength ? head->content_length : 0;
      }
      pending_.erase(0, head->size);
    }
    switch (framing_) {
      case http::Framing::kNone:
        return finish();
      case http::Framing::kLength:
        if (pending_.size() >= left_) finish();
        return;
      case http::Framing::kChunked: {
        const auto step = chunks_.feed(pending_);
        pending_.erase(0, step.consumed);
        if (step.status == http::ChunkScanner::Status::kDone) return finish();
        if (step.status == http::ChunkScanner::Status::kBad) fail(kMalformed);
        return;
      }
      case http::Framing::kUntilClose:
        until_close_ = true;
        return;
    }
  }

  http::ChunkScanner chunks_;
  std::string node_;
  std::uint64_t left_ = 0;
  int status_ = 0;
  http::Framing framing_ = http::Framing::kNone;
  bool head_seen_ = false;
  bool until_close_ = false;
};

// Asks for a token and then whether it is good, each over a connection of its own, as clients and
// services do; or, for an audit, only the latter.
class DrillLoad::TokenSession final : public HttpSession {
 public:
  TokenSession(DrillLoad& load, std::size_t target, std::uint64_t id)
      : HttpSession(load, target, id) {}
  TokenSession(DrillLoad& load, std::size_t target, std::uint64_t id, std::string token,
               std::size_t audit)
      : HttpSession(load, target, id), token_(std::move(token)), audit_(audit) {}

  std::optional<std::size_t> audit() const override { return audit_; }

 private:
  static constexpr int kStatusIssued = 201;
  static constexpr int kStatusValid = 200;

  std::string request() const override {
    if (token_.empty()) return token_request();
    return "GET /v3/auth/tokens HTTP/1.1\r\nHost: vip\r\nUser-Agent: "
           "nines-drill\r\nX-Auth-Token: " +
           token_ + "\r\nX-Subject-Token: " + token_ + "\r\nConnection: close\r\n\r\n";
  }
  void on_head(const http::ResponseHead& head) override {
    const auto* field = http::find_field(head, pending_.data(), "X-Subject-Token");
    if (field != nullptr) issued_ = field->value.in(pending_.data());
  }
  void finish() override {
    if (!token_.empty()) {
      return status() == kStatusValid ? succeed({}) : fail(reason_of_status(status()));
    }
    if (status() != kStatusIssued || issued_.empty()) return fail(reason_of_status(status()));
    token_ = std::move(issued_);
    if (load().tokens_.size() < kTokensMax) {
      load().tokens_.push_back({.at = load().loop_.now(), .token = token_});
    }
    expect_another();
    connect_again();
  }

  std::string issued_;  // by the answer at hand
  std::string token_;
  std::optional<std::size_t> audit_;
};

// The handshake, one frame there and back, and both sides' close.
class DrillLoad::WebSocketSession final : public Session {
 public:
  using Session::Session;
  void on_connected(io::Stream&) override {
    stream().send(
        "GET /websockify HTTP/1.1\r\nHost: vip\r\nUser-Agent: nines-drill\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: " +
        std::string(kKey) + "\r\n\r\n");
  }

 private:
  // kHead --101--> kEcho --our frame--> kClose --close frame--> success
  enum class State : std::uint8_t { kHead, kEcho, kClose };
  static constexpr std::string_view kKey = "bmluZXMtZHJpbGwtMDAwMQ==";
  static constexpr std::string_view kWords = "a key pressed at a console";

  void take() override {
    if (state_ == State::kHead) {
      bool ended = false;
      const auto* head = parse_head(ended);
      if (head == nullptr) return;
      if (head->status >= kStatusBad) return fail(reason_of_status(head->status));
      const auto* accept = http::find_field(*head, pending_.data(), "Sec-WebSocket-Accept");
      if (head->status != 101 || accept == nullptr ||
          accept->value.in(pending_.data()) != websocket_accept(kKey)) {
        return fail(kMalformed);
      }
      node_ = node_of(*head);
      pending_.erase(0, head->size);
      state_ = State::kEcho;
      stream().send(make_websocket_frame(WebSocketOpcode::kText, kWords, mask()));
    }
    WebSocketFrame frame;
    while (true) {
      const auto step = take_websocket_frame(pending_, frame);
      if (step == WebSocketStep::kMore) return;
      const bool wanted = state_ == State::kEcho
                              ? frame.opcode == WebSocketOpcode::kText && frame.payload == kWords
                              : frame.opcode == WebSocketOpcode::kClose;
      if (step == WebSocketStep::kBad || frame.masked || !wanted) return fail(kMalformed);
      if (state_ == State::kClose) return succeed(node_);
      state_ = State::kClose;
      stream().send(make_websocket_frame(WebSocketOpcode::kClose, "\x03\xe8", mask()));
    }
  }
  // It has to differ from frame to frame, and need not be secret here (RFC 6455 section 10.3 is
  // about scripts in browsers).
  std::uint32_t mask() const { return static_cast<std::uint32_t>(id() * 2654435761u); }

  std::string node_;
  State state_ = State::kHead;
};

class DrillLoad::MysqlSession final : public Session {
 public:
  using Session::Session;

 private:
  void take() override {
    std::string out;
    const auto progress = client_.feed(std::exchange(pending_, {}), out);
    if (!out.empty()) stream().send(out);
    if (progress == MysqlClient::Progress::kDone) return succeed(client_.node());
    if (progress == MysqlClient::Progress::kFailed) return fail(kMalformed);
  }

  MysqlClient client_{"lab"};
};

// The pace of one target.
class DrillLoad::Generator final : public Timer {
 public:
  Generator(DrillLoad& load, std::size_t target) : load_(load), target_(target) {}

  void start(Instant at, int pace) {
    due_ = at;
    const LoadTarget& target = load_.targets_[target_];
    interval_ = target.kind == LoadKind::kTokens ? kTokenInterval
                                                 : pace * interval_of(target.service->proxy);
    load_.loop_.arm(*this, due_);
  }

 private:
  void on_timer(Instant now) override {
    due_ = due_ + interval_;
    if (due_ + kBehindMax * interval_ < now) due_ = now + interval_;
    load_.loop_.arm(*this, due_);
    load_.begin_session(target_);
  }

  DrillLoad& load_;
  std::size_t target_;
  Duration interval_{};
  Instant due_;
};

// Logs in once and asks who answers, again and again; begins anew when it is broken off.
class DrillLoad::LastingSession final : public io::StreamHandler, private Timer {
 public:
  LastingSession(DrillLoad& load, std::size_t target) : load_(load), target_(target) { begin(); }
  ~LastingSession() override { end(); }

  int node() const { return node_; }
  Instant answered_at() const { return answered_at_; }

  void on_data(io::Stream&, io::LentBytes bytes) override {
    std::string out;
    const auto progress = client_->feed(bytes.view(), out);
    if (!out.empty()) stream_->send(out);
    if (progress == MysqlClient::Progress::kFailed) return begin_anew();
    if (progress == MysqlClient::Progress::kMore) return;
    node_ = load_.node_index(client_->node());
    answered_at_ = load_.loop_.now();
    waiting_ = false;
    load_.loop_.arm(*this, kQuestionInterval);
  }
  void on_end(io::Stream&) override { begin_anew(); }
  void on_failed(io::Stream&, const Error&) override { begin_anew(); }

 private:
  static constexpr Duration kQuestionInterval = 100ms;
  // For a connection and its answer; then the session is given up as broken, as pools do.
  static constexpr Duration kPatience = 1s;

  void on_timer(Instant) override {
    if (stream_ == nullptr) return begin();
    if (waiting_) return begin_anew();
    std::string out;
    client_->ask_again(out);
    stream_->send(out);
    wait();
  }
  void wait() {
    waiting_ = true;
    load_.loop_.arm(*this, kPatience);
  }
  void begin() {
    client_.emplace("lab", MysqlClient::Afterwards::kStay);
    io::ConnectOptions options;
    options.peer_may_speak_first = true;
    stream_ = &load_.loop_.connect(load_.targets_[target_].address, options, *this);
    wait();
  }
  void begin_anew() {
    // One that was not answered yet is a try to come back, and breaks nothing.
    if (node_ >= 0) ++load_.lasting_broken_;
    node_ = -1;
    end();
    load_.loop_.arm(*this, kQuestionInterval);
  }
  void end() {
    cancel();
    waiting_ = false;
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->abort();
  }

  DrillLoad& load_;
  std::size_t target_;
  bool waiting_ = false;
  io::Stream* stream_ = nullptr;
  std::optional<MysqlClient> client_;
  int node_ = -1;  // who answered last; -1: nobody yet
  Instant answered_at_;
};

// Stays logged in and writes, one transaction after the other. Each is counted from when it was
// due, so that the way back to a database belongs to the first one after a failure.
//   kAway --connect--> kLogin --> kBegin --> kWrite --> kCommit --> kRest --due--> kBegin
class DrillLoad::WritingSession final : public io::StreamHandler, private Timer {
 public:
  WritingSession(DrillLoad& load, std::size_t target, Instant first)
      : load_(load), target_(target) {
    load_.loop_.arm(*this, first);
  }
  ~WritingSession() override { drop(); }

  bool under_way() const { return due_.has_value(); }
  void stop() {
    stopped_ = true;
    if (!under_way()) drop();
  }
  void abandon() {
    if (under_way()) end(Outcome::kUnfinished, {});
  }

  void on_data(io::Stream&, io::LentBytes bytes) override {
    std::string out;
    const auto progress = client_->feed(bytes.view(), out);
    if (progress == MysqlClient::Progress::kFailed) {
      return end(Outcome::kFailed, reason_of_error(client_->error_code()));
    }
    if (progress == MysqlClient::Progress::kDone && step_ != Step::kRest) {
      if (step_ == Step::kCommit) {
        step_ = Step::kRest;
        return end(Outcome::kSuccess, {});
      }
      run_next(out);
    }
    if (!out.empty()) stream_->send(out);
  }
  void on_end(io::Stream&) override { broken(kClosedEarly); }
  void on_failed(io::Stream&, const Error& error) override { broken(base::name_of(error.code())); }

 private:
  enum class Step : std::uint8_t { kAway, kLogin, kBegin, kWrite, kCommit, kRest };

  static constexpr Duration kInterval = 200ms;
  // Longer than Galera needs to part from a dead member; then the session is given up as broken.
  static constexpr Duration kPatience = 10s;

  void on_timer(Instant now) override {
    if (under_way()) return end(Outcome::kFailed, "no answer");
    due_ = now;
    load_.loop_.arm(*this, now + kPatience);
    if (stream_ == nullptr) {
      step_ = Step::kLogin;
      client_.emplace("lab", MysqlClient::Afterwards::kStay);
      io::ConnectOptions options;
      options.peer_may_speak_first = true;
      stream_ = &load_.loop_.connect(load_.targets_[target_].address, options, *this);
      return;
    }
    std::string out;
    run_next(out);
    stream_->send(out);
  }

  void run_next(std::string& out) {
    switch (step_) {
      case Step::kLogin:
      case Step::kRest:
        step_ = Step::kBegin;
        return client_->run("START TRANSACTION", out);
      case Step::kBegin:
        step_ = Step::kWrite;
        return client_->run("INSERT INTO lab.writes (at) VALUES (NOW(6))", out);
      case Step::kWrite:
        step_ = Step::kCommit;
        return client_->run("COMMIT", out);
      case Step::kAway:
      case Step::kCommit:
        return;
    }
  }

  // One that broke while it rested costs nothing: the next transaction finds its way back.
  void broken(std::string_view reason) {
    if (under_way()) return end(Outcome::kFailed, reason);
    drop();
  }

  void end(Outcome outcome, std::string_view reason) {
    load_.records_[target_].push_back({*due_, load_.loop_.now(), outcome, reason,
                                       load_.node_index(client_ ? client_->node() : "")});
    due_.reset();
    if (outcome != Outcome::kSuccess || stopped_) drop();
    if (!stopped_) load_.loop_.arm(*this, kInterval);
  }

  void drop() {
    if (stopped_) cancel();
    step_ = Step::kAway;
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->abort();
  }

  DrillLoad& load_;
  std::size_t target_;
  Step step_ = Step::kAway;
  bool stopped_ = false;
  std::optional<Instant> due_;  // of the transaction under way
  io::Stream* stream_ = nullptr;
  std::optional<MysqlClient> client_;
};

std::string_view LoadTarget::name() const {
  switch (kind) {
    case LoadKind::kRequests:
      return service->proxy;
    case LoadKind::kTokens:
      return "tokens";
    case LoadKind::kTransactions:
      return "transactions";
  }
  return "";
}

DrillLoad::DrillLoad(io::Loop& loop, std::vector<LoadTarget> targets)
    : loop_(loop),
      targets_(std::move(targets)),
      records_(targets_.size()),
      head_(std::make_unique<http::ResponseHead>()) {
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    generators_.push_back(std::make_unique<Generator>(*this, i));
  }
}

DrillLoad::~DrillLoad() = default;

void DrillLoad::start(int pace) {
  for (auto& each : records_) each.clear();
  lasting_.clear();
  lasting_broken_ = 0;
  writing_.clear();
  tokens_.clear();
  audits_.clear();
  for (std::size_t i = 0; i < generators_.size(); ++i) {
    const Instant first = loop_.now() + kStagger * static_cast<int>(i);
    if (targets_[i].kind == LoadKind::kTransactions) {
      for (int each = 0; each < kWritingSessions; ++each) {
        writing_.push_back(std::make_unique<WritingSession>(*this, i, first));
      }
      continue;
    }
    generators_[i]->start(first, pace);
    if (targets_[i].service->kind != StandInKind::kMysql) continue;
    for (int each = 0; each < kLastingSessions; ++each) {
      lasting_.push_back(std::make_unique<LastingSession>(*this, i));
    }
  }
}

void DrillLoad::stop() {
  for (auto& generator : generators_) generator->cancel();
  for (auto& each : writing_) each->stop();
  lasting_.clear();
}

bool DrillLoad::idle() const {
  return sessions_.empty() && std::none_of(writing_.begin(), writing_.end(),
                                           [](const auto& each) { return each->under_way(); });
}

void DrillLoad::audit_tokens(const std::vector<Window>& windows) {
  audits_.assign(windows.size(), {});
  const auto target = std::find_if(targets_.begin(), targets_.end(),
                                   [](const auto& each) { return each.kind == LoadKind::kTokens; });
  if (target == targets_.end()) return;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    std::vector<const IssuedToken*> found;
    for (const auto& each : tokens_) {
      if (each.at >= windows[i].begin && each.at < windows[i].end) found.push_back(&each);
    }
    const std::size_t count = std::min(found.size(), kAuditedMax);
    audits_[i].asked = static_cast<int>(count);
    for (std::size_t each = 0; each < count; ++each) {
      const std::uint64_t id = ++last_session_;
      sessions_.emplace(id, std::make_unique<TokenSession>(
                                *this, static_cast<std::size_t>(target - targets_.begin()), id,
                                found[each * found.size() / count]->token, i));
    }
  }
}

std::set<int> DrillLoad::lasting_nodes(Instant since) const {
  std::set<int> nodes;
  for (const auto& each : lasting_) {
    if (each->node() >= 0 && each->answered_at() >= since) nodes.insert(each->node());
  }
  return nodes;
}

void DrillLoad::abandon() {
  while (!sessions_.empty()) {
    end_session(sessions_.begin()->first, Outcome::kUnfinished, {}, {});
  }
  for (auto& each : writing_) each->abandon();
}

void DrillLoad::begin_session(std::size_t target) {
  if (sessions_.size() >= kSessionsMax) {
    const Instant now = loop_.now();
    records_[target].push_back({now, now, Outcome::kFailed, "client full", -1});
    return;
  }
  const std::uint64_t id = ++last_session_;
  std::unique_ptr<Session> session;
  if (targets_[target].kind == LoadKind::kTokens) {
    sessions_.emplace(id, std::make_unique<TokenSession>(*this, target, id));
    return;
  }
  switch (targets_[target].service->kind) {
    case StandInKind::kHttp:
      session = std::make_unique<HttpSession>(*this, target, id);
      break;
    case StandInKind::kWebSocket:
      session = std::make_unique<WebSocketSession>(*this, target, id);
      break;
    case StandInKind::kMysql:
      session = std::make_unique<MysqlSession>(*this, target, id);
      break;
  }
  sessions_.emplace(id, std::move(session));
}

void DrillLoad::end_session(std::uint64_t id, Outcome outcome, std::string_view reason,
                            std::string_view node) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  const Session& session = *found->second;
  if (const auto audit = session.audit()) {
    audits_[*audit].valid += outcome == Outcome::kSuccess ? 1 : 0;
    sessions_.erase(found);
    return;
  }
  records_[session.target()].push_back(
      {session.begun(), loop_.now(), outcome, reason, node_index(node)});
  sessions_.erase(found);
}

std::int8_t DrillLoad::node_index(std::string_view name) {
  if (name.empty()) return -1;
  auto found = std::find(nodes_.begin(), nodes_.end(), name);
  if (found == nodes_.end()) {
    if (nodes_.size() >= kNodesMax) return -1;
    found = nodes_.insert(nodes_.end(), std::string(name));
  }
  return static_cast<std::int8_t>(found - nodes_.begin());
}

}  // namespace nines::lab
