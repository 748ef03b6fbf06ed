// The relay: a full queue on one side pauses the other; silence on both ends the session, and so
// does a server's kernel that takes nothing any more while checks call the server down.
#include "proxy/tcp_session.h"

#include <algorithm>

namespace nines::proxy {

TcpSession::TcpSession(Worker& worker, io::Stream& client,
                       std::shared_ptr<WorkerGeneration> generation, int frontend)
    : Session(worker, client, std::move(generation), frontend) {}

void TcpSession::start() {
  facts_.begun = facts_.request_done = accepted_;
  facts_.begun_wall = worker_.loop().wall_time();
  client_->pause();  // until the server is there
  client_->watch();
  if (frontend().default_backend < 0) {
    finish('S', 'C');
    return;
  }
  enter_backend(frontend().default_backend);
  dispatch();
}

void TcpSession::dispatch() {
  switch (choose_server()) {
    case Choice::kNone:
      finish('S', 'C');
      return;
    case Choice::kQueued:
      phase_ = Phase::kQueued;
      if (const auto limit = queue_limit()) worker_.loop().arm(*this, facts_.queued + *limit);
      return;
    case Choice::kAssigned:
      break;
  }
  connect();
}

void TcpSession::on_slot() {
  leave_queue();
  dispatch();
}

void TcpSession::connect() {
  phase_ = Phase::kConnecting;
  ServerPool& pool = worker_.pool_of(server().state);
  connection_ = &worker_.new_connection(pool, server().config->address,
                                        backend().config->server_keepalive, true);
  connection_->attach(this);
  server_counters().connects.add();
  backend_counters().connects.add();
  worker_.loop().arm(*this, begin_connect());
}

void TcpSession::connect_failed() {
  suspect_server();
  connection_->close();
  connection_ = nullptr;
  ++failures_;
  const RetryFacts facts{.failures = failures_,
                         .retries = backend().config->retries,
                         .redispatch = backend().config->redispatch != 0,
                         .other_usable = other_server_usable(),
                         .untouched = true};
  const Retry decision = decide_retry(facts);
  if (decision == Retry::kGiveUp) {
    --failures_;  // the log counts retries, and this failure leads to none
    server_counters().connect_errors.add();
    backend_counters().connect_errors.add();
    leave_server();
    finish('S', 'C');
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
  worker_.loop().arm(*this, retry_pause());
}

void TcpSession::on_server_connected() {
  phase_ = Phase::kRelaying;
  facts_.connected = worker_.loop().now();
  connection_->count_use();
  client_->resume();
  arm_idle();
}

void TcpSession::arm_idle() {
  last_activity_ = worker_.loop().now();
  client_backlog_ = client_->queued();
  server_backlog_ = connection_->stream().queued();
  const Timeouts& front = frontend().config->timeouts;
  const Timeouts& back = backend().config->timeouts;
  std::optional<Duration> limit;
  const auto shorten = [&limit](const std::optional<Duration>& by) {
    if (by && (!limit || *by < *limit)) limit = by;
  };
  if (back.tunnel && !client_done_ && !server_done_) {
    limit = back.tunnel;
  } else {
    shorten(client_done_ && front.client_fin ? front.client_fin : front.client);
    shorten(server_done_ && back.server_fin ? back.server_fin : back.server);
  }
  idle_deadline_ = limit ? last_activity_ + *limit : Instant::max();
  arm_timer();
}

void TcpSession::arm_timer() {
  const Instant at = look_at_ == Instant{} ? idle_deadline_ : std::min(idle_deadline_, look_at_);
  if (at == Instant::max()) {
    cancel();
  } else {
    worker_.loop().arm(*this, at);
  }
}

// Long questions are nothing unusual: that the kernel over there does not acknowledge them is.
void TcpSession::look_at_peer(Instant now) {
  const bool lost = peer_is_lost();
  const bool up = server().state->up.load(std::memory_order_relaxed);
  if (lost && !up) {
    server_broke();
    return;
  }
  watching_peer_ = watching_peer_ && !up;
  look_at_ = watching_peer_ || overdue_looks_ > 0 ? now + kSilenceLook : Instant{};
  arm_timer();
}

void TcpSession::watch_peer() {
  if (phase_ != Phase::kRelaying) return;
  watching_peer_ = true;
  connection_->stream().probe_peer();
  look_at_ = worker_.loop().now() + kSilenceLook;
  arm_timer();
}

void TcpSession::on_timer(Instant now) {
  switch (phase_) {
    case Phase::kQueued:
      backend_counters().connect_errors.add();
      finish('s', 'Q');
      return;
    case Phase::kConnecting:
      if (const auto next = look_at_connect(now)) {
        worker_.loop().arm(*this, *next);
      } else {
        connect_failed();
      }
      return;
    case Phase::kPausing:
      if (awaits_verdict()) {
        worker_.loop().arm(*this, kVerdictPause);
      } else if (server().state->usable()) {
        server_counters().sessions.add();
        connect();
      } else {
        leave_server();
        dispatch();
      }
      return;
    case Phase::kRelaying: {
      if (now < idle_deadline_) {
        look_at_peer(now);
        return;
      }
      // A slow peer is not a silent one.
      if (client_->queued() < client_backlog_ || connection_->stream().queued() < server_backlog_) {
        arm_idle();
        return;
      }
      const auto& client = frontend().config->timeouts.client;
      const auto& server = backend().config->timeouts.server;
      const bool tunnel = backend().config->timeouts.tunnel && !client_done_ && !server_done_;
      const bool by_client = tunnel || (client && (!server || *client <= *server));
      finish(by_client ? 'c' : 's', 'D');
      return;
    }
  }
}

void TcpSession::on_data(io::Stream&, io::LentBytes bytes) {
  facts_.bytes_in += bytes.size();
  if (connection_->stream().send(bytes.view()) == io::Sent::kQueued) client_->pause();
  if (look_at_ == Instant{}) look_at_ = worker_.loop().now() + kAnswerPatience;
  arm_idle();
}

void TcpSession::on_server_data(io::LentBytes bytes) {
  facts_.bytes_out += bytes.size();
  if (client_->send(bytes.view()) == io::Sent::kQueued) connection_->stream().pause();
  if (!watching_peer_) look_at_ = Instant{};
  overdue_looks_ = 0;
  arm_idle();
}

void TcpSession::on_drained(io::Stream&) {
  if (connection_ == nullptr) return;
  connection_->stream().resume();
  arm_idle();
  end_if_both_done();
}

void TcpSession::on_server_drained() {
  client_->resume();
  arm_idle();
  end_if_both_done();
}

void TcpSession::on_end(io::Stream&) {
  client_done_ = true;
  connection_->stream().finish();
  arm_idle();
  end_if_both_done();
}

void TcpSession::on_server_end() {
  server_done_ = true;
  client_->finish();
  arm_idle();
  end_if_both_done();
}

void TcpSession::end_if_both_done() {
  if (!client_done_ || !server_done_) return;
  // What is still queued towards a side goes out first; the idle timeout bounds the wait.
  if (client_->queued() > 0 || connection_->stream().queued() > 0) return;
  finish('-', '-');
}

void TcpSession::on_failed(io::Stream&, const Error&) {
  switch (phase_) {
    case Phase::kQueued:
      finish('C', 'Q');
      return;
    case Phase::kConnecting:
    case Phase::kPausing:
      finish('C', 'C');
      return;
    case Phase::kRelaying:
      finish('C', 'D');
      return;
  }
}

void TcpSession::on_server_failed(const Error&) {
  if (phase_ == Phase::kConnecting) {
    connect_failed();
    return;
  }
  server_broke();
}

void TcpSession::server_broke() {
  server_counters().response_errors.add();
  backend_counters().response_errors.add();
  finish('S', 'D');
}

void TcpSession::kill(char cause) {
  // HAProxy tells no state of a session that was relaying.
  finish(cause, phase_ == Phase::kRelaying ? '-' : phase_ == Phase::kQueued ? 'Q' : 'C');
}

void TcpSession::finish(char cause, char state) {
  if (ended_) return;
  ended_ = true;
  cancel();
  leave_queue();
  facts_.cause = cause;
  facts_.state = state;
  const Instant now = worker_.loop().now();
  const bool by_client = cause == 'C' || cause == 'c';
  const bool by_server = state == 'D' && (cause == 'S' || cause == 's');

  SessionRecord record;
  fill_record(record);
  record.queue_ms = since(accepted_, end_of_queue(now));
  record.connect_ms = since(facts_.assigned, facts_.connected);
  record.total_ms = milliseconds_of(now - accepted_);
  if (has_backend() && has_server()) {
    server_counters().bytes_in.add(facts_.bytes_in);
    server_counters().bytes_out.add(facts_.bytes_out);
    if (by_client) server_counters().client_aborts.add();
    if (by_server) server_counters().server_aborts.add();
    const auto micros = [](Duration d) { return static_cast<std::uint64_t>(d.count() / 1000); };
    for (auto* timed : {&server_counters().total_time, &backend_counters().total_time}) {
      timed->add(micros(now - accepted_));
    }
    if (facts_.connected != Instant{}) {
      server_counters().connect_time.add(micros(facts_.connected - facts_.assigned));
      backend_counters().connect_time.add(micros(facts_.connected - facts_.assigned));
    }
    server_counters().timed.add();
    backend_counters().timed.add();
  }
  if (has_backend()) {
    backend_counters().bytes_in.add(facts_.bytes_in);
    backend_counters().bytes_out.add(facts_.bytes_out);
    if (by_client) backend_counters().client_aborts.add();
    if (by_server) backend_counters().server_aborts.add();
  }
  frontend_counters().bytes_in.add(facts_.bytes_in);
  frontend_counters().bytes_out.add(facts_.bytes_out);
  worker_.process().bytes_out[static_cast<std::size_t>(worker_.index())].add(facts_.bytes_out);

  const bool abnormal = cause != '-';
  const bool normal = !abnormal && went_smoothly();
  const bool null_session = facts_.bytes_in == 0;  // whatever the server said
  const ProxyConfig& config = *frontend().config;
  if (!(normal && config.dontlog_normal) && !(null_session && config.dontlognull)) {
    write_log(record, false, LogLevel::kInfo);
  }

  if (connection_ != nullptr) {
    // A session that broke on one side breaks on the other: no half-open leftovers.
    if (abnormal) {
      connection_->abort();
    } else {
      connection_->close();
    }
    connection_ = nullptr;
  }
  leave_server();
  leave_backend();
  // What cannot be delivered any more must not look like the end.
  if ((cause == 'S' && state == 'D') || client_->queued() > 0) {
    client_->abort();
  } else {
    client_->close();
  }
  worker_.end_session(*this);
}

SessionInfo TcpSession::info() const {
  SessionInfo info = common_info();
  if (last_activity_ != Instant{}) info.idle = worker_.loop().now() - last_activity_;
  switch (phase_) {
    case Phase::kQueued:
      info.state = "queued";
      break;
    case Phase::kConnecting:
      info.state = "connecting";
      break;
    case Phase::kPausing:
      info.state = "waiting to retry";
      break;
    case Phase::kRelaying:
      info.state = "relaying";
      break;
  }
  return info;
}

}  // namespace nines::proxy
