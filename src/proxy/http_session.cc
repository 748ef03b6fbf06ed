// The request's way through, in the order in which it happens: input, routing, dispatch, answer,
// end. Bytes are moved here directly; what is decided about them is decided in pure code (http/,
// header_rules, retry, balance).
#include "proxy/http_session.h"

#include <algorithm>

#include "base/check.h"
#include "http/edit.h"
#include "http/error_response.h"
#include "proxy/header_rules.h"
#include "proxy/keystone_check.h"

namespace nines::proxy {

namespace {

std::string status_answer(int status, bool close, bool head_only) {
  return http::make_error_response(http::ErrorResponse{
      .status = static_cast<std::uint16_t>(status), .close = close, .head_only = head_only});
}

}  // namespace

void HttpSession::Body::begin(http::Framing how, std::uint64_t length) {
  framing = how;
  remaining = length;
  if (how == http::Framing::kChunked) chunks = http::ChunkScanner();
  done = how == http::Framing::kNone || (how == http::Framing::kLength && length == 0);
}

HttpSession::Body::Taken HttpSession::Body::take(std::string_view bytes) {
  switch (framing) {
    case http::Framing::kNone:
      return {};
    case http::Framing::kUntilClose:
      return {bytes.size(), false};
    case http::Framing::kLength: {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), remaining));
      remaining -= count;
      done = remaining == 0;
      return {count, false};
    }
    case http::Framing::kChunked: {
      if (done) return {};
      const auto step = chunks.feed(bytes);
      done = step.status == http::ChunkScanner::Status::kDone;
      return {step.consumed, step.status == http::ChunkScanner::Status::kBad};
    }
  }
  return {};
}

HttpSession::HttpSession(Worker& worker, io::Stream& client,
                         std::shared_ptr<WorkerGeneration> generation, int frontend)
    : Session(worker, client, std::move(generation), frontend),
      client_ip_(client.peer().is_ip() ? client.peer().ip_text() : std::string()) {}

void HttpSession::start() {
  const Timeouts& timeouts = frontend().config->timeouts;
  const auto& limit = timeouts.http_request ? timeouts.http_request : timeouts.client;
  if (limit) arm_until(worker_.loop().now() + *limit);
}

// ---- The request ------------------------------------------------------------------------------

void HttpSession::on_data(io::Stream&, io::LentBytes bytes) {
  switch (phase_) {
    case Phase::kHead:
      take_input(bytes.view());
      return;
    case Phase::kTunnel:
      facts_.bytes_in += bytes.size();
      to_server(bytes.view());
      arm_relay();
      return;
    case Phase::kLingering:
      lingered_ += bytes.size();
      if (lingered_ > kLingerMax) finish();
      return;
    case Phase::kQueued:
    case Phase::kConnecting:
    case Phase::kPausing:
    case Phase::kWaiting:
    case Phase::kAnswering:
      break;
  }
  std::string_view rest = bytes.view();
  if (!request_body_.done) {
    rest.remove_prefix(take_request_body(rest));
    if (ended_ || phase_ == Phase::kLingering) return;
    if (!request_body_.done && !client_paused_) client_->acknowledge();
  }
  if (!rest.empty()) hold_input(rest);
}

void HttpSession::take_input(std::string_view bytes) {
  std::string held;
  if (!input_.empty()) {
    input_.append(bytes);
    held.swap(input_);
    bytes = held;
  }
  taking_input_ = true;
  while (phase_ == Phase::kHead && !ended_ && !client_backlogged_ && !bytes.empty()) {
    const std::size_t used = take_request(bytes);
    if (used == 0) break;
    bytes.remove_prefix(used);
  }
  taking_input_ = false;
  if (ended_ || phase_ == Phase::kLingering) return;
  if (!bytes.empty()) hold_input(bytes);
  const bool more_awaited = phase_ == Phase::kHead ? !bytes.empty() : !request_body_.done;
  if (more_awaited && !client_paused_) client_->acknowledge();
  if (phase_ == Phase::kHead && !client_backlogged_) set_client_reading(true);
}

void HttpSession::hold_input(std::string_view bytes) {
  input_.assign(bytes);
  if (phase_ != Phase::kHead) set_client_reading(false);  // pipelined: its turn comes
}

std::size_t HttpSession::take_request(std::string_view bytes) {
  if (facts_.begun == Instant{}) {
    facts_.begun = worker_.loop().now();
    facts_.begun_wall = worker_.loop().wall_time();
    if (requests_ > 0) {
      const Timeouts& timeouts = frontend().config->timeouts;
      const auto& limit = timeouts.http_request ? timeouts.http_request : timeouts.client;
      if (limit) arm_until(facts_.begun + *limit);
    }
  }
  http::RequestHead& head = worker_.request_head();
  const http::ParseResult result = http::parse_request(bytes, worker_.limits(), head);
  if (result.status == http::Parse::kNeedMore) return 0;
  if (result.status == http::Parse::kBad) {
    capture(false, bytes, result.position, http::describe(result.fault));
    count_broken_request();
    send_error(http::status_of(result.fault), 'P', 'R');
    return 0;
  }
  std::size_t used = head.size;
  if (head.framing == http::Framing::kChunked) {
    // A body that is broken from its start on is no request either: no backend hears of it.
    Body body;
    body.begin(head.framing, 0);
    const Body::Taken taken = body.take(bytes.substr(used));
    if (taken.bad) {
      capture(false, bytes, static_cast<std::uint32_t>(used + taken.count), "invalid chunked body");
      count_broken_request();
      send_error(400, 'P', 'R');
      return 0;
    }
  }
  if (!begin_request(head, bytes.data())) return used;
  if (!request_body_.done) {
    used += take_request_body(bytes.substr(used));
    if (ended_ || phase_ == Phase::kLingering) return used;
  }
  // A first request that is complete leaves its connection unwatched: most are answered and closed
  // before the kernel has to be asked anything.
  if (requests_ == 1 && request_body_.done) set_client_reading(false);
  dispatch();
  return used;
}

// False when the request has been answered already.
bool HttpSession::begin_request(http::RequestHead& head, const char* base) {
  ++requests_;
  const Instant now = worker_.loop().now();
  facts_.request_done = now;
  method_ = head.method;
  client_version_ = head.version;
  upgrade_ = head.upgrade;
  const bool frontend_stays = move_to_current_generation();
  client_keep_alive_ = head.keep_alive && !client_ended_ && frontend_stays && !worker_.closing() &&
                       frontend().config->connection_mode != HttpConnectionMode::kClose;
  request_body_.begin(head.framing, head.content_length);
  const std::string_view line = head.start_line.in(base);
  if (!frontend().config->log_targets.empty()) request_line_ = line.substr(0, kRequestLineMax);
  facts_.bytes_in = head.size - head.leading;
  frontend_counters().requests.add();
  worker_.process().requests[static_cast<std::size_t>(worker_.index())].add();
  frontend().frontend->request_rate.count(now);

  const int target = route();
  if (answer_by_ourselves(head, base, target)) return false;
  if (target < 0) {
    send_error(503, 'S', 'C');
    return false;
  }
  enter_backend(target);
  backend_counters().requests.add();
  repeatable_ = http::is_idempotent(method_) || (backend().config->check.repeats_tokens &&
                                                 asks_for_token(method_, head.target.in(base)));
  request_.clear();
  render_request(head, base, facts(), request_);
  request_kept_ = true;
  request_sent_ = false;
  fresh_only_ = false;
  return true;
}

int HttpSession::route() const {
  for (const auto& rule : frontend().config->use_backends) {
    if (!holds(rule.condition, facts())) continue;
    const auto& proxies = generation_->shared->proxies;
    for (std::size_t i = 0; i < proxies.size(); ++i) {
      if (proxies[i].backend && proxies[i].config->name == rule.backend) {
        return static_cast<int>(i);
      }
    }
  }
  return frontend().default_backend;
}

RequestFacts HttpSession::facts() const {
  return RequestFacts{.client = &client_->peer(),
                      .client_ip = client_ip_,
                      .local = &client_->local(),
                      .frontend = frontend().config,
                      .backend = has_backend() ? backend().config : nullptr};
}

bool HttpSession::answer_by_ourselves(const http::RequestHead& head, const char* base, int target) {
  const std::string_view uri = head.target.in(base);
  const ProxyConfig& front = *frontend().config;
  if (!front.monitor_uri.empty() && uri == front.monitor_uri) {
    intercepted_ = true;
    monitored_ = true;
    frontend_counters().intercepted.add();
    send_own_answer(200,
                    status_answer(200, !keeps_client_after_body(), method_ == http::Method::kHead),
                    'L', 'R');
    return true;
  }
  const Proxy* page = front.stats.enabled ? &frontend() : nullptr;
  if (page == nullptr && target >= 0) {
    const Proxy& candidate = generation_->shared->proxies[static_cast<std::size_t>(target)];
    if (candidate.config->stats.enabled) page = &candidate;
  }
  if (page == nullptr) return false;
  const http::Field* const authorization = http::find_field(head, http::FieldName::kAuthorization);
  const auto answer = worker_.statistics_page(
      *page, *generation_->shared, head.method_text.in(base), uri,
      authorization != nullptr ? authorization->value.in(base) : std::string_view(),
      !keeps_client_after_body());
  if (!answer) return false;
  intercepted_ = true;
  frontend_counters().intercepted.add();
  send_own_answer(answer->status, answer->text, 'L', 'R');
  return true;
}

// Our own answer ends the connection when the request's body has not been read.
bool HttpSession::keeps_client_after_body() const {
  return client_keep_alive_ && request_body_.done;
}

std::size_t HttpSession::take_request_body(std::string_view bytes) {
  const Body::Taken taken = request_body_.take(bytes);
  const std::string_view body = bytes.substr(0, taken.count);
  facts_.bytes_in += body.size();
  if (taken.bad) {
    frontend_counters().request_errors.add();
    capture(false, bytes, static_cast<std::uint32_t>(taken.count), "invalid chunked body");
    if (phase_ == Phase::kAnswering) {
      answer_cut('P', 'D');
    } else {
      abort_connection();
      send_error(400, 'P', state_of_phase());
    }
    return taken.count;
  }
  const bool fits = request_.size() + body.size() <= kReplayMax;
  if (!request_sent_) {
    request_.append(body);
    if (!fits) set_client_reading(false);  // until a server takes what there is
    return taken.count;
  }
  if (request_kept_ && fits) {
    request_.append(body);
  } else if (request_kept_) {
    request_kept_ = false;
    request_.clear();
  }
  to_server(body);
  if (phase_ == Phase::kWaiting) arm_waiting();
  return taken.count;
}

// ---- To the server ----------------------------------------------------------------------------

void HttpSession::dispatch() {
  switch (choose_server()) {
    case Choice::kNone:
      send_error(503, 'S', 'C');
      return;
    case Choice::kQueued:
      phase_ = Phase::kQueued;
      if (const auto limit = queue_limit()) {
        arm_until(facts_.queued + *limit);
      } else {
        watch_client();
      }
      return;
    case Choice::kAssigned:
      use_server();
      return;
  }
}

void HttpSession::on_slot() {
  leave_queue();
  dispatch();
}

void HttpSession::use_server() {
  ServerPool& pool = worker_.pool_of(server().state);
  // What may not be sent twice goes over a fresh connection: a pooled one may be dying just now.
  const bool may_reuse = !fresh_only_ && http::is_idempotent(method_) && request_body_.done &&
                         !upgrade_ && backend().config->http_reuse != HttpReuse::kNever;
  if (may_reuse && !pool.idle.empty()) {
    connection_ = pool.idle.back();
    connection_->take();
    connection_->attach(this);
    server_counters().reuses.add();
    backend_counters().reuses.add();
    facts_.connected = worker_.loop().now();
    send_request();
    return;
  }
  connect();
}

void HttpSession::connect() {
  phase_ = Phase::kConnecting;
  connection_ = &worker_.new_connection(worker_.pool_of(server().state), server().config->address,
                                        backend().config->server_keepalive, false);
  connection_->attach(this);
  server_counters().connects.add();
  backend_counters().connects.add();
  arm_until(begin_connect());
}

void HttpSession::on_server_connected() {
  facts_.connected = worker_.loop().now();
  send_request();
}

void HttpSession::send_request() {
  connection_->count_use();
  phase_ = Phase::kWaiting;
  asked_about_silence_ = false;
  watching_peer_ = false;
  overdue_looks_ = 0;
  request_sent_ = true;
  to_server(request_);
  if (!request_body_.done && !server_backlogged_) set_client_reading(true);
  arm_waiting();
}

void HttpSession::attempt_failed(bool connecting, bool timed_out) {
  const bool pooled = !connecting && connection_->used_before() && answer_input_.empty();
  if (!pooled) suspect_server();
  abort_connection();
  answer_input_.clear();
  if (!pooled) ++failures_;
  const ProxyConfig& config = *backend().config;
  const Retry decision = decide_retry(RetryFacts{.failures = failures_,
                                                 .retries = config.retries,
                                                 .redispatch = config.redispatch != 0,
                                                 .other_usable = other_server_usable(),
                                                 .pooled = pooled,
                                                 .untouched = !request_sent_,
                                                 .idempotent = repeatable_,
                                                 .kept = request_kept_,
                                                 .answered = false});
  if (decision == Retry::kGiveUp) {
    if (failures_ > 0) --failures_;  // the log counts retries, and this failure leads to none
    if (connecting) {
      server_counters().connect_errors.add();
      backend_counters().connect_errors.add();
      send_error(503, timed_out ? 's' : 'S', 'C');
    } else {
      server_counters().response_errors.add();
      backend_counters().response_errors.add();
      send_error(502, 'S', 'H');
    }
    return;
  }
  if (request_sent_) {
    server_counters().replays.add();
    backend_counters().replays.add();
  }
  request_sent_ = false;
  facts_.connected = Instant{};
  if (decision == Retry::kSameServerNow) {
    fresh_only_ = true;
    connect();
    return;
  }
  if (decision == Retry::kOtherServer) {
    if (tried_.size() < kTriedMax) tried_.push_back(server_index_);
    leave_server();
    dispatch();
    return;
  }
  count_retry();
  phase_ = Phase::kPausing;
  failed_at_ = worker_.loop().now();
  arm_until(failed_at_ + retry_pause());
}

// Before the deadline.
void HttpSession::look_again(Instant now) {
  if (phase_ == Phase::kWaiting && request_body_.done) return look_for_silence(now);
  if (!watching_peer_ || connection_ == nullptr || phase_ == Phase::kConnecting) {
    worker_.loop().arm(*this, deadline_);
    return;
  }
  if (server().state->up.load(std::memory_order_relaxed)) {
    watching_peer_ = false;
  } else if (peer_is_lost()) {
    if (phase_ == Phase::kWaiting) {
      give_up_on_lost_server();
    } else {
      server_aborted();
    }
    return;
  }
  worker_.loop().arm(*this, watching_peer_ ? std::min(deadline_, now + kSilenceLook) : deadline_);
}

// A request that waits may wait on a slow server, or on one that will never answer (silence.h).
void HttpSession::look_for_silence(Instant now) {
  const Instant patience_over = facts_.connected + kAnswerPatience;
  if (now < patience_over) {
    worker_.loop().arm(*this, std::min(deadline_, patience_over));
    return;
  }
  const bool lost = peer_is_lost();
  if (server().state->unresponsive() && may_leave_server(Others::kUnsuspected)) {
    leave_silent_server();
  } else if (lost && server().state->unresponsive()) {
    // Anybody is better than a server that is gone.
    may_leave_server(Others::kUsable) ? leave_silent_server() : give_up_on_lost_server();
  } else {
    if (!asked_about_silence_) {
      asked_about_silence_ = true;
      connection_->stream().probe_peer();
      worker_.hub().on_silence(generation_->shared, static_cast<int>(backend_index_),
                               server_index_);
    }
    worker_.loop().arm(*this, std::min(deadline_, now + kSilenceLook));
  }
}

// Nothing of an answer has come, and another server could give it.
bool HttpSession::may_leave_server(Others which) const {
  return repeatable_ && request_kept_ && request_body_.done && answer_input_.empty() &&
         backend().config->redispatch != 0 && failures_ < backend().config->retries &&
         other_server_usable(which);
}

void HttpSession::leave_silent_server() {
  server_counters().replays.add();
  backend_counters().replays.add();
  ++failures_;
  abort_connection();
  request_sent_ = false;
  facts_.connected = Instant{};
  if (tried_.size() < kTriedMax) tried_.push_back(server_index_);
  leave_server();
  dispatch();
}

// It may have been carried out there: only the client can know whether it may be asked for again.
void HttpSession::give_up_on_lost_server() {
  server_counters().response_errors.add();
  backend_counters().response_errors.add();
  abort_connection();
  send_error(504, 's', 'H');
}

// The timer goes on by itself where it looks every so often anyway.
void HttpSession::watch_peer() {
  if (connection_ == nullptr || phase_ == Phase::kConnecting) return;
  watching_peer_ = true;
  connection_->stream().probe_peer();
  if (phase_ == Phase::kWaiting) {
    worker_.loop().arm(*this, std::min(deadline_, worker_.loop().now() + kSilenceLook));
  } else {
    arm_relay();
  }
}

void HttpSession::abort_connection() {
  server_backlogged_ = false;
  if (connection_ == nullptr) return;
  connection_->abort();
  connection_ = nullptr;
}

void HttpSession::on_server_drained() {
  server_backlogged_ = false;
  if (phase_ == Phase::kTunnel || !request_body_.done) set_client_reading(true);
  if (phase_ == Phase::kTunnel) {
    arm_relay();
  } else if (phase_ == Phase::kWaiting) {
    arm_waiting();
  }
}

// ---- The answer -------------------------------------------------------------------------------

void HttpSession::on_server_data(io::LentBytes bytes) {
  switch (phase_) {
    case Phase::kWaiting:
      take_answer(bytes);
      return;
    case Phase::kAnswering:
      relay_answer(bytes.view());
      return;
    case Phase::kTunnel:
      to_client(bytes.view());
      arm_relay();
      return;
    case Phase::kHead:
    case Phase::kQueued:
    case Phase::kConnecting:
    case Phase::kPausing:
    case Phase::kLingering:
      break;
  }
  CHECK(false);  // a session has a connection only while it uses it
}

void HttpSession::take_answer(io::LentBytes bytes) {
  std::string held;
  if (!answer_input_.empty()) {
    // Kept with the same room in front that the loop lends.
    answer_input_.append(bytes.view());
    held.swap(answer_input_);
    bytes = io::LentBytes(held.data(), held.data() + io::LentBytes::kHeadroom,
                          held.size() - io::LentBytes::kHeadroom, held.data() + held.size());
  }
  while (phase_ == Phase::kWaiting && !bytes.empty()) {
    http::ResponseHead& head = worker_.response_head();
    const auto result = http::parse_response(bytes.view(), worker_.limits(), method_, head);
    if (result.status == http::Parse::kNeedMore) {
      answer_input_.assign(io::LentBytes::kHeadroom, '\0');
      answer_input_.append(bytes.view());
      connection_->stream().acknowledge();
      return;
    }
    if (result.status == http::Parse::kBad) {
      capture(true, bytes.view(), result.position, http::describe(result.fault));
      server_counters().response_errors.add();
      backend_counters().response_errors.add();
      abort_connection();
      send_error(502, 'P', 'H');
      return;
    }
    if (head.interim()) {
      // HAProxy counts each as one more answer of the server, and of nobody else.
      server_counters().requests.add();
      server_counters().responses[status_class(head.status)].add();
      if (client_version_ == http::Version::kHttp11) to_client(bytes.view().substr(0, head.size));
      bytes.drop_front(head.size);
      continue;
    }
    begin_answer(head, bytes);
    return;
  }
}

void HttpSession::begin_answer(http::ResponseHead& head, io::LentBytes bytes) {
  facts_.answered = worker_.loop().now();
  status_ = head.status;
  server_counters().requests.add();
  server_keep_alive_ = head.keep_alive && head.framing != http::Framing::kUntilClose;
  answer_body_.begin(head.framing, head.content_length);
  const bool tunnel = head.tunnel;
  dechunk_ = head.framing == http::Framing::kChunked && client_version_ == http::Version::kHttp10;
  client_keep_alive_ = client_keep_alive_ && !tunnel && request_body_.done && !dechunk_ &&
                       head.framing != http::Framing::kUntilClose && may_have_another();

  http::HeadEditor editor(head, bytes.data());
  edit_response(head, bytes.data(), client_version_, client_keep_alive_, dechunk_, editor);
  const std::size_t head_size = head.size;
  std::string_view body = bytes.view().substr(head_size);
  phase_ = tunnel ? Phase::kTunnel : Phase::kAnswering;
  Body::Taken taken;
  if (tunnel) {
    taken.count = body.size();
  } else if (!dechunk_) {
    taken = answer_body_.take(body);
  }
  http::HeadEditor::Edited edited;
  if (editor.apply(bytes.data() - bytes.headroom(), bytes.data(), edited)) {
    to_client({edited.data, edited.size + taken.count});
  } else {
    std::string text;
    text.reserve(editor.size() + taken.count);
    editor.render(text);
    text.append(body.substr(0, taken.count));
    to_client(text);
  }
  if (tunnel) {
    begin_tunnel();
    return;
  }
  if (dechunk_) {
    relay_answer(body);
    return;
  }
  after_answer_bytes(taken, body);
}

void HttpSession::relay_answer(std::string_view bytes) {
  if (!dechunk_) {
    const Body::Taken taken = answer_body_.take(bytes);
    to_client(bytes.substr(0, taken.count));
    after_answer_bytes(taken, bytes);
    return;
  }
  // A HTTP/1.0 client knows no chunks: it gets the data alone, and the end by our closing. Rare
  // enough to look at each byte.
  std::string data;
  Body::Taken taken;
  while (taken.count < bytes.size() && !answer_body_.done && !taken.bad) {
    const auto before = answer_body_.chunks.payload_bytes();
    taken.bad = answer_body_.take(bytes.substr(taken.count, 1)).bad;
    if (answer_body_.chunks.payload_bytes() != before) data += bytes[taken.count];
    ++taken.count;
  }
  to_client(data);
  after_answer_bytes(taken, bytes);
}

void HttpSession::after_answer_bytes(const Body::Taken& taken, std::string_view bytes) {
  if (taken.bad) {
    capture(true, bytes, static_cast<std::uint32_t>(taken.count), "invalid chunked body");
    server_counters().response_errors.add();
    backend_counters().response_errors.add();
    answer_cut('S', 'D');
    return;
  }
  if (answer_body_.done) {
    if (taken.count < bytes.size()) server_keep_alive_ = false;  // more than was announced
    answer_done();
    return;
  }
  if (client_backlogged_) {
    connection_->stream().pause();
  } else {
    connection_->stream().acknowledge();
  }
  arm_relay();
}

void HttpSession::begin_tunnel() {
  client_keep_alive_ = false;
  watch_client();
  if (!input_.empty()) {
    // What the client sent behind its request belongs to the tunnel now.
    const std::string early = std::move(input_);
    input_.clear();
    facts_.bytes_in += early.size();
    to_server(early);
  }
  if (!server_backlogged_) set_client_reading(true);
  if (client_backlogged_) connection_->stream().pause();
  if (client_ended_) connection_->stream().finish();
  arm_relay();
}

void HttpSession::on_server_end() {
  switch (phase_) {
    case Phase::kWaiting:
      attempt_failed(false, false);
      return;
    case Phase::kAnswering:
      if (answer_body_.framing == http::Framing::kUntilClose) {
        answer_body_.done = true;
        server_keep_alive_ = false;
        answer_done();
      } else {
        server_aborted();
      }
      return;
    case Phase::kTunnel:
      server_ended_ = true;
      client_->finish();
      end_tunnel_if_done();
      return;
    case Phase::kHead:
    case Phase::kQueued:
    case Phase::kConnecting:
    case Phase::kPausing:
    case Phase::kLingering:
      break;
  }
  CHECK(false);
}

void HttpSession::on_server_failed(const Error&) {
  switch (phase_) {
    case Phase::kConnecting:
      attempt_failed(true, false);
      return;
    case Phase::kWaiting:
      attempt_failed(false, false);
      return;
    case Phase::kAnswering:
    case Phase::kTunnel:
      server_aborted();
      return;
    case Phase::kHead:
    case Phase::kQueued:
    case Phase::kPausing:
    case Phase::kLingering:
      break;
  }
  CHECK(false);
}

void HttpSession::end_tunnel_if_done() {
  if (!client_ended_ || !server_ended_) return;
  if (client_->queued() > 0 || connection_->stream().queued() > 0) return;
  account_and_log('-', '-');
  finish();
}

// ---- The end of a request ---------------------------------------------------------------------

void HttpSession::answer_done() {
  const bool reusable = server_keep_alive_ && request_body_.done && !server_backlogged_ &&
                        !asked_about_silence_ && !watching_peer_ &&
                        frontend().config->connection_mode == HttpConnectionMode::kKeepAlive &&
                        backend().config->connection_mode == HttpConnectionMode::kKeepAlive &&
                        backend().config->http_reuse != HttpReuse::kNever;
  ServerConnection* const connection = std::exchange(connection_, nullptr);
  if (reusable) {
    connection->stream().resume();
    connection->release();
  } else {
    connection->close();
  }
  account_and_log('-', '-');
  if (client_keep_alive_ && request_body_.done) {
    next_request();
  } else {
    end_client();
  }
}

void HttpSession::server_aborted() {
  server_counters().response_errors.add();
  backend_counters().response_errors.add();
  server_counters().server_aborts.add();
  backend_counters().server_aborts.add();
  answer_cut('S', 'D');
}

// A request that never became one counts as a request all the same, and as an error.
void HttpSession::count_broken_request() {
  frontend_counters().requests.add();
  frontend_counters().request_errors.add();
  request_line_.clear();
}

// The answer cannot be completed: the client must see that, so no graceful end.
void HttpSession::answer_cut(char cause, char state) {
  abort_connection();
  account_and_log(cause, state);
  client_aborts_ = true;
  finish();
}

void HttpSession::send_error(int status, char cause, char state) {
  if (status == 400 || status == 408 || !request_body_.done) client_keep_alive_ = false;
  const bool close = !client_keep_alive_;
  send_own_answer(status, status_answer(status, close, method_ == http::Method::kHead), cause,
                  state);
}

void HttpSession::send_own_answer(int status, std::string_view text, char cause, char state) {
  CHECK(connection_ == nullptr);
  leave_queue();
  status_ = status;
  if (!request_body_.done) client_keep_alive_ = false;
  to_client(text);
  account_and_log(cause, state);
  if (client_keep_alive_) {
    next_request();
  } else {
    end_client();
  }
}

// Once a request: counters, the log line, and what the request held.
void HttpSession::account_and_log(char cause, char state) {
  if (phase_ == Phase::kLingering) return;
  facts_.cause = cause;
  facts_.state = state;
  const Instant now = worker_.loop().now();
  ProxyCounters& front = frontend_counters();
  front.bytes_in.add(facts_.bytes_in);
  front.bytes_out.add(facts_.bytes_out);
  worker_.process().bytes_out[static_cast<std::size_t>(worker_.index())].add(facts_.bytes_out);
  front.responses[status_class(status_)].add();
  const bool by_client = cause == 'C' || cause == 'c';
  if (by_client) front.client_aborts.add();
  if (has_backend()) {
    ProxyCounters& back = backend_counters();
    back.bytes_in.add(facts_.bytes_in);
    back.bytes_out.add(facts_.bytes_out);
    back.responses[status_class(status_)].add();
    if (by_client) back.client_aborts.add();
    if (has_server()) {
      ServerCounters& to = server_counters();
      to.bytes_in.add(facts_.bytes_in);
      to.bytes_out.add(facts_.bytes_out);
      if (facts_.answered != Instant{}) to.responses[status_class(status_)].add();
      if (by_client) to.client_aborts.add();
      const auto micros = [](Instant from, Instant until) {
        return from == Instant{} || until == Instant{}
                   ? std::uint64_t{0}
                   : static_cast<std::uint64_t>((until - from).count() / 1000);
      };
      const auto count_times = [&](auto& counters) {
        counters.queue_time.add(micros(facts_.request_done, facts_.assigned));
        counters.connect_time.add(micros(facts_.assigned, facts_.connected));
        counters.response_time.add(micros(facts_.connected, facts_.answered));
        counters.total_time.add(micros(facts_.begun, now));
        counters.timed.add();
      };
      count_times(to);
      count_times(back);
    }
  }
  const ProxyConfig& config = *frontend().config;
  const bool nothing_came = requests_ == 0 && facts_.begun == Instant{};
  if (!config.log_targets.empty() && !monitored_ && !(nothing_came && config.dontlognull) &&
      !(config.dontlog_normal && cause == '-' && status_ < 500 && went_smoothly())) {
    SessionRecord record;
    fill_record(record);
    if (facts_.begun == Instant{}) record.begun = worker_.loop().wall_time();
    record.request_ms = since(facts_.begun, facts_.request_done);
    record.queue_ms = since(facts_.request_done, end_of_queue(now));
    record.connect_ms = since(facts_.assigned, facts_.connected);
    record.response_ms = since(facts_.connected, facts_.answered);
    record.total_ms = facts_.begun == Instant{} ? 0 : milliseconds_of(now - facts_.begun);
    record.status = status_;
    record.request_line = request_line_.empty() ? std::string_view("<BADREQ>") : request_line_;
    if (intercepted_) {
      record.server = "<STATS>";
      record.queue_ms = record.connect_ms = 0;
      record.response_ms = status_ == 200 ? 0 : -1;
    }
    write_log(record, true, LogLevel::kInfo);
  }
  leave_queue();
  leave_server();
  leave_backend();
}

void HttpSession::next_request() {
  phase_ = Phase::kHead;
  facts_ = Facts{};
  status_ = -1;
  backend_index_ = kNoBackend;
  server_index_ = last_server_ = -1;
  tried_.clear();
  failures_ = 0;
  redispatched_ = false;
  intercepted_ = false;
  monitored_ = false;
  dechunk_ = false;
  method_ = http::Method::kOther;
  request_line_.clear();
  if (request_.capacity() > kBufferKept) std::string().swap(request_);
  watched_ = true;  // from the second request on it is registered
  if (input_.empty() && !taking_input_ && !may_have_another()) {
    end_client();
    return;
  }
  if (client_backlogged_) {
    // It has not taken its last answer yet. What it has asked for behind it waits, or a client
    // that only asks and never reads would fill our memory.
    set_client_reading(false);
    if (const auto& limit = frontend().config->timeouts.client) {
      arm_until(worker_.loop().now() + *limit);
    } else {
      cancel();
    }
    return;
  }
  await_request();
}

// Not when we stop, nor when the configuration of now has no such frontend.
bool HttpSession::may_have_another() const {
  return !worker_.closing() &&
         (generation_ == worker_.generation() || worker_.continues(frontend()));
}

void HttpSession::await_request() {
  if (input_.empty() && !taking_input_ && !may_have_another()) {
    end_client();
    return;
  }
  const Timeouts& timeouts = frontend().config->timeouts;
  const auto& limit = timeouts.http_keep_alive ? timeouts.http_keep_alive
                      : timeouts.http_request  ? timeouts.http_request
                                               : timeouts.client;
  if (limit) {
    arm_until(worker_.loop().now() + *limit);
  } else {
    cancel();
  }
  if (taking_input_) return;  // take_input() goes on by itself
  if (!input_.empty()) {
    take_input({});
  } else if (client_ended_) {
    end_client();
  } else {
    set_client_reading(true);
  }
}

void HttpSession::end_client() {
  const bool all_read = request_body_.done && input_.empty() && requests_ > 0 && status_ != 400;
  if (client_->queued() == 0 && (client_ended_ || all_read)) {
    finish();
    return;
  }
  // Closing with bytes unread makes the kernel send a reset, which can overtake our last words.
  phase_ = Phase::kLingering;
  client_->finish();
  lingered_ = 0;
  set_client_reading(true);
  watch_client();
  arm_linger();
}

// What is queued has the client's own time to be taken; only then it has to end soon.
void HttpSession::arm_linger() {
  const auto& patience = frontend().config->timeouts.client;
  if (client_->queued() == 0) {
    arm_until(worker_.loop().now() + kLinger);
  } else if (patience) {
    arm_until(worker_.loop().now() + *patience);
  } else {
    cancel();
  }
}

void HttpSession::finish() {
  if (ended_) return;
  CHECK(!in_backend_ && !has_server());
  ended_ = true;
  cancel();
  if (connection_ != nullptr) {
    connection_->close();
    connection_ = nullptr;
  }
  if (client_aborts_ || client_->queued() > 0) {  // an answer that is cut must not look whole
    client_->abort();
  } else {
    client_->close();
  }
  worker_.end_session(*this);
}

// ---- The client's side ------------------------------------------------------------------------

void HttpSession::on_end(io::Stream&) {
  client_ended_ = true;
  switch (phase_) {
    case Phase::kHead:
      if (client_backlogged_ && input_.empty()) return;  // it still reads its last answer
      if (facts_.begun != Instant{} || requests_ == 0) {
        count_broken_request();
        status_ = 400;
        account_and_log('C', 'R');
      }
      finish();
      return;
    case Phase::kTunnel:
      connection_->stream().finish();
      end_tunnel_if_done();
      return;
    case Phase::kLingering:
      if (client_->queued() == 0) finish();
      return;
    case Phase::kQueued:
    case Phase::kConnecting:
    case Phase::kPausing:
    case Phase::kWaiting:
    case Phase::kAnswering:
      break;
  }
  client_keep_alive_ = false;
  // A half-closed client still wants its answer; one that ends inside its request does not.
  if (!request_body_.done) client_lost();
}

void HttpSession::on_failed(io::Stream&, const Error&) {
  if (phase_ == Phase::kLingering) {
    finish();
    return;
  }
  if (phase_ == Phase::kHead && facts_.begun == Instant{} && requests_ > 0) {
    finish();
    return;
  }
  client_lost();
}

void HttpSession::client_lost() {
  if (phase_ == Phase::kHead) {
    count_broken_request();
    status_ = 400;
  }
  const bool in_body = phase_ == Phase::kWaiting && !request_body_.done;
  answer_cut('C', in_body ? 'D' : state_of_phase());
}

// The second of the termination characters (section 8.5).
char HttpSession::state_of_phase() const {
  switch (phase_) {
    case Phase::kHead:
    case Phase::kLingering:
      return 'R';
    case Phase::kQueued:
      return 'Q';
    case Phase::kConnecting:
    case Phase::kPausing:
      return 'C';
    case Phase::kWaiting:
      return 'H';
    case Phase::kAnswering:
    case Phase::kTunnel:
      return 'D';
  }
  return '-';
}

void HttpSession::on_drained(io::Stream&) {
  client_backlogged_ = false;
  if (phase_ == Phase::kLingering) {
    if (client_ended_) {
      finish();
    } else {
      arm_linger();
    }
    return;
  }
  if (phase_ == Phase::kHead && facts_.begun == Instant{} && requests_ > 0) {
    await_request();
    return;
  }
  if (connection_ == nullptr) return;
  if (phase_ == Phase::kWaiting) {
    connection_->stream().resume();  // interim answers can fill the queue too
  } else if (phase_ == Phase::kAnswering || phase_ == Phase::kTunnel) {
    connection_->stream().resume();
    arm_relay();
    if (phase_ == Phase::kTunnel) end_tunnel_if_done();
  }
}

void HttpSession::on_timer(Instant now) {
  if (now < deadline_) {
    watch_client();
    look_again(now);
    return;
  }
  if (peer_takes()) {
    arm_until(now + (deadline_ - armed_at_));
    return;
  }
  switch (phase_) {
    case Phase::kHead:
      if (requests_ > 0 && facts_.begun == Instant{}) {
        // An idle kept-alive connection: nobody waits for anything. Or one that does not take its
        // answer.
        finish();
        return;
      }
      count_broken_request();
      send_error(408, 'c', 'R');
      return;
    case Phase::kQueued:
      backend_counters().connect_errors.add();
      send_error(503, 's', 'Q');
      return;
    case Phase::kConnecting:
      watch_client();
      if (const auto next = look_at_connect(now)) {
        arm_until(*next);
      } else {
        attempt_failed(true, true);
      }
      return;
    case Phase::kPausing:
      if (awaits_verdict()) {
        arm_until(now + kVerdictPause);
      } else if (server().state->usable()) {
        server_counters().sessions.add();
        use_server();
      } else {
        leave_server();
        dispatch();
      }
      return;
    case Phase::kWaiting:
      if (!request_body_.done && !server_backlogged_) {
        abort_connection();
        send_error(408, 'c', 'D');
        return;
      }
      server_counters().response_errors.add();
      backend_counters().response_errors.add();
      abort_connection();
      send_error(504, 's', 'H');
      return;
    case Phase::kAnswering:
    case Phase::kTunnel: {
      const bool tunnel_limit =
          phase_ == Phase::kTunnel && backend().config->timeouts.tunnel.has_value();
      const bool by_client = tunnel_limit || client_backlogged_;
      if (!by_client) {
        server_counters().server_aborts.add();
        backend_counters().server_aborts.add();
      }
      const char cause = by_client ? 'c' : 's';
      if (phase_ == Phase::kTunnel && !client_backlogged_) {
        // Nothing is on its way: an end like any other.
        account_and_log(cause, 'D');
        finish();
        return;
      }
      answer_cut(cause, 'D');
      return;
    }
    case Phase::kLingering:
      finish();
      return;
  }
}

// A slow peer is not a silent one: what is queued for it has grown less since the timer was set.
bool HttpSession::peer_takes() const {
  if (client_backlogged_ && client_->queued() < client_backlog_) return true;
  return server_backlogged_ && connection_->stream().queued() < server_backlog_;
}

void HttpSession::to_client(std::string_view bytes) {
  if (bytes.empty()) return;
  facts_.bytes_out += bytes.size();
  if (client_->send(bytes) == io::Sent::kQueued) {
    client_backlogged_ = true;
    if (connection_ != nullptr) connection_->stream().pause();
  }
}

void HttpSession::to_server(std::string_view bytes) {
  if (connection_->stream().send(bytes) == io::Sent::kQueued) {
    server_backlogged_ = true;
    set_client_reading(false);
  }
}

void HttpSession::set_client_reading(bool on) {
  if (on == !client_paused_) return;
  client_paused_ = !on;
  if (on) {
    client_->resume();
  } else {
    client_->pause();
  }
}

void HttpSession::watch_client() {
  if (watched_) return;
  watched_ = true;
  client_->watch();
}

void HttpSession::note_backlogs() {
  armed_at_ = worker_.loop().now();
  client_backlog_ = client_->queued();
  server_backlog_ = connection_ != nullptr ? connection_->stream().queued() : 0;
}

void HttpSession::arm_until(Instant deadline) {
  deadline_ = deadline;
  note_backlogs();
  if (watching_peer_ && connection_ != nullptr) {
    worker_.loop().arm(*this, std::min(deadline, worker_.loop().now() + kSilenceLook));
    return;
  }
  const Instant first_look = worker_.loop().now() + kAbortWatch;
  worker_.loop().arm(
      *this, watched_ || phase_ == Phase::kHead || deadline < first_look ? deadline : first_look);
}

void HttpSession::arm_waiting() {
  const auto& limit = request_body_.done || server_backlogged_ ? backend().config->timeouts.server
                                                               : frontend().config->timeouts.client;
  const Instant now = worker_.loop().now();
  deadline_ = limit ? now + *limit : Instant::max();
  note_backlogs();
  const Instant first_look = now + (watched_ ? kAnswerPatience : kAbortWatch);
  worker_.loop().arm(*this, std::min(deadline_, first_look));
}

void HttpSession::arm_relay() {
  const Timeouts& front = frontend().config->timeouts;
  const Timeouts& back = backend().config->timeouts;
  std::optional<Duration> limit = client_backlogged_ ? front.client : back.server;
  if (phase_ == Phase::kTunnel) {
    limit = back.tunnel ? back.tunnel : front.client;
    if (!back.tunnel && back.server && (!limit || *back.server < *limit)) limit = back.server;
  }
  if (limit || watching_peer_) {
    arm_until(limit ? worker_.loop().now() + *limit : Instant::max());
  } else {
    cancel();
  }
}

// A new request runs under the configuration of now. False when that has no such frontend any more:
// the request is served as it would have been, and is the connection's last.
bool HttpSession::move_to_current_generation() {
  const auto& current = worker_.generation();
  if (current == generation_) return true;
  const std::string& name = frontend().config->name;
  const auto& proxies = current->shared->proxies;
  for (std::size_t i = 0; i < proxies.size(); ++i) {
    if (proxies[i].frontend == frontend().frontend && proxies[i].config->mode == Mode::kHttp &&
        proxies[i].config->name == name) {
      generation_ = current;
      frontend_index_ = i;
      return true;
    }
  }
  return false;
}

void HttpSession::capture(bool response, std::string_view bytes, std::uint32_t position,
                          std::string_view reason) {
  CapturedError error;
  error.response = response;
  error.proxy = response ? backend().config->name : frontend().config->name;
  if (has_backend()) {
    error.other_proxy = response ? frontend().config->name : backend().config->name;
    if (has_server()) error.server = server().config->name;
  }
  error.source = client_->peer().text();
  error.at = worker_.loop().wall_time();
  error.event = requests_;
  error.position = position;
  error.reason = reason;
  error.bytes = bytes.substr(0, CapturedError::kCapturedBytesMax);
  worker_.hub().on_captured_error(std::move(error));
}

void HttpSession::kill(char cause) {
  if (ended_) return;  // by the end of another one, a moment ago
  switch (phase_) {
    case Phase::kHead:
      finish();
      return;
    case Phase::kLingering:
      finish();
      return;
    case Phase::kAnswering:
    case Phase::kTunnel:
      answer_cut(cause, 'D');
      return;
    case Phase::kWaiting:
      if (cause == 'D' && may_leave_server(Others::kUsable)) {
        leave_silent_server();
        return;
      }
      client_keep_alive_ = false;
      abort_connection();
      send_error(502, cause, 'H');
      return;
    case Phase::kQueued:
    case Phase::kConnecting:
    case Phase::kPausing:
      client_keep_alive_ = false;
      abort_connection();
      send_error(503, cause, state_of_phase());
      return;
  }
}

void HttpSession::end_if_idle() {
  const bool idle = phase_ == Phase::kHead && facts_.begun == Instant{} && requests_ > 0;
  if (idle && !client_backlogged_) finish();  // else once it has taken its answer
}

SessionInfo HttpSession::info() const {
  SessionInfo info = common_info();
  info.requests = requests_;
  if (facts_.begun != Instant{}) info.idle = worker_.loop().now() - facts_.begun;
  switch (phase_) {
    case Phase::kHead:
      info.state = "waiting for a request";
      break;
    case Phase::kQueued:
      info.state = "queued";
      break;
    case Phase::kConnecting:
      info.state = "connecting";
      break;
    case Phase::kPausing:
      info.state = "waiting to retry";
      break;
    case Phase::kWaiting:
      info.state = "waiting for the answer";
      break;
    case Phase::kAnswering:
      info.state = "answering";
      break;
    case Phase::kTunnel:
      info.state = "tunnel";
      break;
    case Phase::kLingering:
      info.state = "closing";
      break;
  }
  return info;
}

}  // namespace nines::proxy
