// Sessions of the three kinds, one class each, and the pace.
#include "lab/drill_load.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "http/chunked.h"
#include "lab/http_answer.h"
#include "lab/mysql_wire.h"
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

constexpr std::string_view kClosedEarly = "closed early";
constexpr std::string_view kMalformed = "malformed";

std::string_view reason_of_status(int status) {
  switch (status) {
    case 500:
      return "500";
    case 502:
      return "502";
    case 503:
      return "503";
    case 504:
      return "504";
    default:
      return "5xx";
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
            load.loop_.connect(load.targets_[target].address, options_of(load, target), *this)) {}
  ~Session() override { stream_.close(); }

  std::size_t target() const { return target_; }
  Instant begun() const { return begun_; }

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
  io::Stream& stream() { return stream_; }
  std::uint64_t id() const { return id_; }
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
  io::Stream& stream_;
};

class DrillLoad::HttpSession final : public Session {
 public:
  using Session::Session;
  void on_connected(io::Stream&) override {
    const bool is_keystone = service().service->service.starts_with("keystone");
    stream().send("GET " + std::string(is_keystone ? "/v3" : "/") +
                  " HTTP/1.1\r\nHost: vip\r\nUser-Agent: nines-drill\r\nConnection: close\r\n\r\n");
  }
  void on_end(io::Stream&) override {
    if (until_close_) return finish();
    fail(kClosedEarly);
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
        node_ = node_of(*head);
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
  void finish() {
    if (status_ >= kStatusBad) return fail(reason_of_status(status_));
    succeed(node_);
  }

  http::ChunkScanner chunks_;
  std::string node_;
  std::uint64_t left_ = 0;
  int status_ = 0;
  http::Framing framing_ = http::Framing::kNone;
  bool head_seen_ = false;
  bool until_close_ = false;
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
    interval_ = pace * interval_of(load_.targets_[target_].service->proxy);
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
  for (std::size_t i = 0; i < generators_.size(); ++i) {
    generators_[i]->start(loop_.now() + kStagger * static_cast<int>(i), pace);
    if (targets_[i].service->kind != StandInKind::kMysql) continue;
    for (int each = 0; each < kLastingSessions; ++each) {
      lasting_.push_back(std::make_unique<LastingSession>(*this, i));
    }
  }
}

void DrillLoad::stop() {
  for (auto& generator : generators_) generator->cancel();
  lasting_.clear();
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
}

void DrillLoad::begin_session(std::size_t target) {
  if (sessions_.size() >= kSessionsMax) {
    const Instant now = loop_.now();
    records_[target].push_back({now, now, Outcome::kFailed, "client full", -1});
    return;
  }
  const std::uint64_t id = ++last_session_;
  std::unique_ptr<Session> session;
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
