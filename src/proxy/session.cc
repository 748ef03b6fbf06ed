// The bookkeeping of a session, in pairs: what enters leaves, once.
#include "proxy/session.h"

#include <algorithm>

#include "base/check.h"

namespace nines::proxy {

Session::Session(Worker& worker, io::Stream& client, std::shared_ptr<WorkerGeneration> generation,
                 int frontend)
    : worker_(worker),
      client_(&client),
      generation_(std::move(generation)),
      frontend_index_(static_cast<std::size_t>(frontend)),
      id_(worker.process().next_session.fetch_add(1, std::memory_order_relaxed)),
      accepted_(worker.loop().now()) {
  client.set_handler(this);
  const Instant now = accepted_;
  ProcessState& process = worker.process();
  process.current_connections.add(1);
  process.connections[static_cast<std::size_t>(worker.index())].add();
  process.connection_rate.count(now);
  process.session_rate.count(now);
  ProxyState& state = *this->frontend().frontend;
  state.sessions.add(1);
  state.session_rate.count(now);
  state.connection_rate.count(now);
  frontend_counters().connections.add();
  frontend_counters().sessions.add();
  if (this->frontend().config->client_keepalive) client.set_keepalive(true);
}

Session::~Session() { CHECK(ended_ && !queued_ && !in_backend_ && connection_ == nullptr); }

const ServerState* Session::server_state() const {
  return has_backend() && has_server() ? server().state.get() : nullptr;
}

std::string Session::protocol_name() const {
  switch (client_->peer().family()) {
    case SocketAddress::Family::kIpv6:
      return "tcpv6";
    case SocketAddress::Family::kUnix:
      return "unix_stream";
    case SocketAddress::Family::kIpv4:
    case SocketAddress::Family::kNone:
      break;
  }
  return "tcpv4";
}

SessionInfo Session::common_info() const {
  SessionInfo info;
  info.id = id_;
  info.protocol = protocol_name();
  info.source = client_->peer().text();
  info.frontend = frontend().config->name;
  if (has_backend()) {
    info.backend = backend().config->name;
    if (has_server()) info.server = server().config->name;
  }
  info.age = info.idle = worker_.loop().now() - accepted_;
  info.worker = worker_.index();
  info.bytes_in = facts_.bytes_in;
  info.bytes_out = facts_.bytes_out;
  return info;
}

void Session::enter_backend(int backend) {
  backend_index_ = static_cast<std::size_t>(backend);
  in_backend_ = true;
  ProxyState& state = *this->backend().backend;
  const Instant now = worker_.loop().now();
  state.sessions.add(1);
  state.session_rate.count(now);
  state.last_session.store(now.nanoseconds, std::memory_order_relaxed);
  backend_counters().sessions.add();
}

void Session::leave_backend() {
  if (!in_backend_) return;
  in_backend_ = false;
  backend().backend->sessions.add(-1);
}

Session::Choice Session::choose_server() {
  CHECK(!has_server() && !queued_);
  const auto choose = [this] {
    return backend_runtime().balancer.pick(
        PickInput{.client = &client_->peer(), .excluded = tried_});
  };
  const auto has_slot = [this](const Pick& found) {
    if (!found || is_full(backend().servers[static_cast<std::size_t>(*found)])) return false;
    // One that has failed this request is chosen again only because all others are full: their
    // next free slot is worth more than another refusal.
    const bool again = std::find(tried_.begin(), tried_.end(), *found) != tried_.end();
    return !again || !other_server_usable();
  };
  const Pick pick = choose();
  if (pick.outcome == Pick::Outcome::kNoServer) {
    backend_counters().connect_errors.add();
    return Choice::kNone;
  }
  if (!has_slot(pick)) {
    if (facts_.queued == Instant{}) {
      // Asked again for a slot and refused, it is still the same wait. The one that leaves the
      // queue is counted itself, as HAProxy has it.
      facts_.queued = worker_.loop().now();
      facts_.queue_before = backend().backend->queued.value() + 1;
    }
    queued_ = true;
    backend().backend->queued.add(1);
    backend_runtime().queue.push_back(this);
    // Another worker may have freed a slot after we looked and before it could see us wait: then
    // it woke nobody. leave_server() does the two in the other order.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (has_slot(choose())) worker_.hub().on_slot_freed(*backend().backend, kAllWorkers);
    return Choice::kQueued;
  }
  server_index_ = *pick;
  if (last_server_ >= 0 && last_server_ != server_index_) {
    redispatched_ = true;
    generation_->shared->proxies[backend_index_]
        .servers[static_cast<std::size_t>(last_server_)]
        .state->counters[static_cast<std::size_t>(worker_.index())]
        .redispatches.add();
    backend_counters().redispatches.add();
  }
  keep_server();
  return Choice::kAssigned;
}

void Session::keep_server() {
  const Instant now = worker_.loop().now();
  ServerState& state = *server().state;
  state.sessions.add(1);
  state.session_rate.count(now);
  state.last_session.store(now.nanoseconds, std::memory_order_relaxed);
  server_counters().sessions.add();
  if (facts_.queued == Instant{}) {
    // HAProxy counts no choice for who comes out of the queue.
    server_counters().selected.add();
    backend_counters().selected.add();
  }
  facts_.assigned = now;
}

// In the class that the balancer would choose from: a backup is no alternative while an active
// server counts as usable, refused or not. Then the session waits for the checks' verdict.
bool Session::other_server_usable(Others which) const {
  const auto& servers = backend().servers;
  const bool backups = std::none_of(servers.begin(), servers.end(), [](const Server& server) {
    return !server.config->backup && server.state->usable();
  });
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const int index = static_cast<int>(i);
    if (servers[i].config->backup != backups || !servers[i].state->usable()) continue;
    if (which == Others::kUnsuspected && servers[i].state->avoided()) continue;
    const bool tried = std::find(tried_.begin(), tried_.end(), index) != tried_.end();
    if (index != server_index_ && !tried) return true;
    // Without "allbackups" the first usable backup is the whole class.
    if (backups && !backend().config->all_backups) return false;
  }
  return false;
}

Duration Session::retry_pause() const {
  const Duration limit = backend().config->timeouts.connect.value_or(kRetryPause);
  return std::min<Duration>(
      limit, server().state->suspect.load(std::memory_order_relaxed) ? kVerdictPause : kRetryPause);
}

bool Session::awaits_verdict() const {
  return server().state->usable() && server().state->suspect.load(std::memory_order_relaxed) &&
         worker_.loop().now() - failed_at_ < kRetryPause;
}

Instant Session::begin_connect() {
  const Instant now = worker_.loop().now();
  const auto& limit = backend().config->timeouts.connect;
  const bool somebody_else = backend().config->redispatch != 0 && other_server_usable();
  connect_deadline_ = limit ? now + *limit : Instant::max();
  if (somebody_else) connect_deadline_ = std::min(connect_deadline_, now + kConnectPatience);
  return std::min(connect_deadline_, now + kConnectPatience);
}

std::optional<Instant> Session::look_at_connect(Instant now) {
  if (now >= connect_deadline_) return std::nullopt;
  suspect_server();
  if (backend().config->redispatch != 0 && !server().state->usable() && other_server_usable()) {
    return std::nullopt;
  }
  const bool asked = server().state->suspect.load(std::memory_order_relaxed);
  return std::min(connect_deadline_, now + (asked ? kVerdictPause : kConnectPatience));
}

void Session::leave_server() {
  if (!has_server()) return;
  server().state->sessions.add(-1);
  last_server_ = server_index_;
  server_index_ = -1;
  facts_.queued = Instant{};  // to wait again would be another wait
  const ProxyState& state = *backend().backend;
  std::atomic_thread_fence(std::memory_order_seq_cst);  // see choose_server()
  if (state.queued.value() > 0) {
    worker_.serve_queues(state);
    worker_.hub().on_slot_freed(state, worker_.index());
  }
}

void Session::leave_queue() {
  if (!queued_) return;
  queued_ = false;
  backend().backend->queued.add(-1);
  std::erase(backend_runtime().queue, this);
}

std::optional<Duration> Session::queue_limit() const {
  const Timeouts& timeouts = backend().config->timeouts;
  return timeouts.queue ? timeouts.queue : timeouts.connect;
}

void Session::count_retry() {
  server_counters().retries.add();
  backend_counters().retries.add();
}

void Session::suspect_server() {
  const Server& failed = server();
  if (!failed.config->check || failed.state->suspect.exchange(true, std::memory_order_relaxed)) {
    return;
  }
  worker_.hub().on_traffic_failure(generation_->shared, static_cast<int>(backend_index_),
                                   server_index_);
}

bool Session::peer_is_lost() {
  if (!connection_->stream().acknowledgement_overdue()) {
    overdue_looks_ = 0;
    return false;
  }
  if (++overdue_looks_ == 1) suspect_server();
  return overdue_looks_ >= kOverdueLooks;
}

void Session::fill_record(SessionRecord& record) const {
  const bool backend_known = has_backend();
  record.client = &client_->peer();
  record.frontend_address = &client_->local();
  record.frontend = frontend().config->name;
  record.backend = backend_known ? backend().config->name : frontend().config->name;
  if (backend_known && has_server()) {
    record.server = server().config->name;
  } else if (backend_known && last_server_ >= 0) {
    record.server = backend().servers[static_cast<std::size_t>(last_server_)].config->name;
  }
  record.begun = facts_.begun_wall;
  record.bytes = facts_.bytes_out;
  record.cause = facts_.cause;
  record.state = facts_.state;
  record.retries = failures_;
  record.redispatched = redispatched_;
  record.backend_queue = facts_.queue_before;
  record.process_connections = worker_.process().current_connections.value();
  record.frontend_connections = frontend().frontend->sessions.value();
  if (backend_known) {
    record.backend_connections = backend().backend->sessions.value() - (in_backend_ ? 1 : 0);
    if (has_server()) record.server_connections = server().state->sessions.value() - 1;
  }
}

void Session::write_log(const SessionRecord& record, bool http, LogLevel level) {
  const ProxyConfig& config = *frontend().config;
  if (config.log_targets.empty()) return;
  std::string& line = worker_.scratch();
  line.clear();
  if (config.http_log && http) {
    append_http_log(line, record, worker_.logs().dates());
  } else if (config.tcp_log || config.http_log) {
    append_tcp_log(line, record, worker_.logs().dates());
  } else {
    append_default_log(line, record, http);
  }
  const GlobalConfig& global = generation_->shared->config.global;
  worker_.logs().send(config.log_targets, level, global.log_send_hostname,
                      config.log_tag.empty() ? global.log_tag : config.log_tag, line);
}

}  // namespace nines::proxy
