// Listeners come and go with configurations, sessions stay; whatever has ended is buried at the end
// of the pass, because a callback further up may still be using it.
#include "proxy/worker.h"

#include <algorithm>
#include <unordered_set>

#include "base/check.h"
#include "proxy/http_session.h"
#include "proxy/server_connection.h"
#include "proxy/session.h"
#include "proxy/stats_page.h"
#include "proxy/tcp_session.h"

namespace nines::proxy {

// One bind line. Survives a reload when the address stays, and with it the kernel's queue.
class Worker::Listener final : public io::AcceptHandler {
 public:
  Listener(Worker& worker, io::Loop& loop) : worker_(worker), loop_(loop) {}
  ~Listener() override {
    if (acceptor_ != nullptr) acceptor_->close();
  }

  Result<void> open(ListenerSource& source, const BindConfig& bind, bool client_first) {
    acceptor_ = TRY(source.open(loop_, bind, client_first, *this));
    return {};
  }
  void set_frontend(int proxy, int maxconn) {
    proxy_ = proxy;
    maxconn_ = maxconn;
  }
  int proxy() const { return proxy_; }
  int maxconn() const { return maxconn_; }

  // Connections that may not come in wait in the kernel's queue.
  void set_accepting(bool on) {
    if (on == accepting_) return;
    accepting_ = on;
    if (on) {
      acceptor_->resume();
    } else {
      acceptor_->pause();
    }
  }

  void on_accepted(io::Stream& stream) override { worker_.accept(*this, stream); }
  void on_accept_exhausted(const Error&) override {}  // the loop pauses; the queue keeps the rest

  bool wanted = false;  // while adopting a configuration

 private:
  Worker& worker_;
  io::Loop& loop_;
  io::Acceptor* acceptor_ = nullptr;
  int proxy_ = 0;
  int maxconn_ = 0;
  bool accepting_ = true;
};

// What makes two bind lines the same listening socket.
std::string listener_key(const BindConfig& bind) {
  return bind.inherited_descriptor ? "fd@" + std::to_string(*bind.inherited_descriptor)
                                   : bind.address.text();
}

class Worker::Undertaker final : public io::EndOfPass {
 public:
  explicit Undertaker(Worker& worker) : worker_(worker) {}
  void call() {
    if (called_ || worker_.dying_) return;
    called_ = true;
    worker_.loop_.at_end_of_pass(*this);
  }
  void on_end_of_pass() override {
    called_ = false;
    worker_.bury();
  }

 private:
  Worker& worker_;
  bool called_ = false;
};

Worker::Worker(io::Loop& loop, Hub& hub, ListenerSource& listeners, Options options)
    : loop_(loop),
      hub_(hub),
      process_(hub.process()),
      listener_source_(listeners),
      options_(std::move(options)),
      logs_(loop, options_.pid, process_.dropped_logs[static_cast<std::size_t>(options_.index)]),
      request_head_(std::make_unique<http::RequestHead>()),
      response_head_(std::make_unique<http::ResponseHead>()),
      undertaker_(std::make_unique<Undertaker>(*this)) {
  loop_.arm(*this, kSweepInterval);
}

Worker::~Worker() {
  set_limited(false);
  listeners_.clear();
  dying_ = true;
  kill_sessions();
  for (auto& [state, pool] : pools_) {
    while (!pool->idle.empty()) pool->idle.back()->close();
  }
  bury();
  CHECK(connections_.empty());
}

std::vector<Error> Worker::adopt(std::shared_ptr<const Generation> generation) {
  std::vector<Error> errors;
  auto next = std::make_shared<WorkerGeneration>();
  next->shared = std::move(generation);
  for (const Proxy& proxy : next->shared->proxies) {
    next->backends.push_back(proxy.backend ? std::make_unique<BackendRuntime>(proxy) : nullptr);
  }
  if (generation_ != nullptr) earlier_generations_.push_back(generation_);
  generation_ = next;
  limits_.head_bytes =
      next->shared->config.global.buffer_size - next->shared->config.global.rewrite_size;
  limits_.line_bytes = limits_.head_bytes;

  for (auto& [key, listener] : listeners_) listener->wanted = false;
  const auto& proxies = next->shared->proxies;
  for (std::size_t i = 0; i < proxies.size(); ++i) {
    const ProxyConfig& config = *proxies[i].config;
    if (config.disabled || proxies[i].frontend == nullptr) continue;
    const bool client_first = config.mode == Mode::kHttp;
    for (const BindConfig& bind : config.binds) {
      const std::string key = listener_key(bind);
      auto& listener = listeners_[key];
      if (listener == nullptr) {
        auto fresh = std::make_unique<Listener>(*this, loop_);
        if (auto opened = fresh->open(listener_source_, bind, client_first); !opened) {
          errors.push_back(std::move(opened).error());
          listeners_.erase(key);
          continue;
        }
        listener = std::move(fresh);
      }
      listener->wanted = true;
      listener->set_frontend(static_cast<int>(i), config.maxconn);
    }
  }
  std::erase_if(listeners_, [](const auto& entry) { return !entry.second->wanted; });
  update_listeners();
  end_what_is_gone();
  return errors;
}

// Kept connections to servers that are gone, and kept-alive clients of frontends that are gone.
void Worker::end_what_is_gone() {
  std::unordered_set<const ServerState*> servers;
  for (const Proxy& proxy : generation_->shared->proxies) {
    for (const Server& server : proxy.servers) servers.insert(server.state.get());
  }
  for (auto& [state, pool] : pools_) {
    if (servers.contains(state)) continue;
    while (!pool->idle.empty()) pool->idle.back()->close();
  }
  for (Session* session = sessions_; session != nullptr;) {
    Session* const next = session->next_;
    if (!continues(session->frontend())) session->end_if_idle();
    session = next;
  }
}

bool Worker::continues(const Proxy& frontend) const {
  const auto& proxies = generation_->shared->proxies;
  return std::any_of(proxies.begin(), proxies.end(), [&](const Proxy& proxy) {
    return proxy.frontend == frontend.frontend && proxy.config->mode == frontend.config->mode;
  });
}

void Worker::begin_stopping() {
  stopping_ = true;
  listeners_.clear();
  end_idle_sessions();
}

void Worker::begin_draining() {
  if (!std::exchange(draining_, true)) draining_since_ = loop_.now();
  end_idle_sessions();
}

bool Worker::drained() const {
  for (const Session* session = sessions_; session != nullptr; session = session->next_) {
    if (session->accepted_ <= draining_since_) return false;
  }
  return true;
}

void Worker::end_drain() {
  for (Session* session = sessions_; session != nullptr;) {
    Session* const next = session->next_;
    if (session->accepted_ <= draining_since_) session->kill('K');
    session = next;
  }
}

void Worker::end_idle_sessions() {
  for (Session* session = sessions_; session != nullptr;) {
    Session* const next = session->next_;
    session->end_if_idle();
    session = next;
  }
}

void Worker::kill_sessions() {
  // Killing may answer and linger first; the second round ends what is left.
  for (int round = 0; round < 2; ++round) {
    for (Session* session = sessions_; session != nullptr;) {
      Session* const next = session->next_;
      session->kill('K');
      session = next;
    }
  }
}

std::vector<SessionInfo> Worker::list_sessions() const {
  std::vector<SessionInfo> list;
  list.reserve(session_count_);
  for (const Session* session = sessions_; session != nullptr; session = session->next_) {
    list.push_back(session->info());
  }
  return list;
}

int Worker::kill_server_sessions(const ServerState& server, char cause) {
  int killed = 0;
  for (Session* session = sessions_; session != nullptr;) {
    Session* const next = session->next_;
    if (session->server_state() == &server) {
      session->kill(cause);
      ++killed;
    }
    session = next;
  }
  return killed;
}

void Worker::watch_server_sessions(const ServerState& server) {
  for (Session* session = sessions_; session != nullptr;) {
    Session* const next = session->next_;
    if (session->server_state() == &server) session->watch_peer();
    session = next;
  }
}

int Worker::kill_session(std::uint64_t id) {
  for (Session* session = sessions_; session != nullptr; session = session->next_) {
    if (session->id() == id) {
      session->kill('K');
      return 1;
    }
  }
  return 0;
}

void Worker::update_listeners() {
  const int process_max = process_.maxconn.load(std::memory_order_relaxed);
  const bool process_full = process_max > 0 && process_.current_connections.value() >= process_max;
  bool limited = false;
  for (auto& [key, listener] : listeners_) {
    const Proxy& proxy = generation_->shared->proxies[static_cast<std::size_t>(listener->proxy())];
    const bool full = process_full || (listener->maxconn() > 0 &&
                                       proxy.frontend->sessions.value() >= listener->maxconn());
    limited = limited || full;
    listener->set_accepting(!full && !proxy.frontend->paused.load(std::memory_order_relaxed));
  }
  set_limited(limited);
}

void Worker::set_limited(bool limited) {
  if (limited == limited_) return;
  limited_ = limited;
  process_.limited_workers.fetch_add(limited ? 1 : -1, std::memory_order_relaxed);
}

void Worker::set_frontend_maxconn(const std::string& proxy, int maxconn) {
  for (auto& [key, listener] : listeners_) {
    const Proxy& of = generation_->shared->proxies[static_cast<std::size_t>(listener->proxy())];
    if (of.config->name == proxy) listener->set_frontend(listener->proxy(), maxconn);
  }
  update_listeners();
}

void Worker::accept(Listener& listener, io::Stream& stream) {
  const auto index = listener.proxy();
  const Proxy& proxy = generation_->shared->proxies[static_cast<std::size_t>(index)];
  if (proxy.config->mode == Mode::kHttp) {
    auto session = std::make_unique<HttpSession>(*this, stream, generation_, index);
    add_session(*session);
    session.release()->start();
  } else {
    auto session = std::make_unique<TcpSession>(*this, stream, generation_, index);
    add_session(*session);
    session.release()->start();
  }
  const int process_max = process_.maxconn.load(std::memory_order_relaxed);
  if ((process_max > 0 && process_.current_connections.value() >= process_max) ||
      (listener.maxconn() > 0 && proxy.frontend->sessions.value() >= listener.maxconn())) {
    update_listeners();
  }
}

void Worker::add_session(Session& session) {
  session.next_ = sessions_;
  if (sessions_ != nullptr) sessions_->previous_ = &session;
  sessions_ = &session;
  ++session_count_;
}

void Worker::end_session(Session& session) {
  if (session.previous_ != nullptr) {
    session.previous_->next_ = session.next_;
  } else {
    sessions_ = session.next_;
  }
  if (session.next_ != nullptr) session.next_->previous_ = session.previous_;
  --session_count_;
  process_.current_connections.add(-1);
  session.frontend().frontend->sessions.add(-1);
  dead_sessions_.emplace_back(&session);
  if (process_.limited_workers.load(std::memory_order_relaxed) > 0) {
    update_listeners();
    hub_.on_connection_freed(options_.index);
  }
  undertaker_->call();
}

ServerPool& Worker::pool_of(const std::shared_ptr<ServerState>& state) {
  auto& pool = pools_[state.get()];
  if (pool == nullptr) {
    pool = std::make_unique<ServerPool>();
    pool->state = state;
  }
  return *pool;
}

ServerConnection& Worker::new_connection(ServerPool& pool, const SocketAddress& to, bool keepalive,
                                         bool server_first) {
  auto connection = std::make_unique<ServerConnection>(*this, pool);
  ServerConnection* const result = connection.get();
  connections_.emplace(result, std::move(connection));
  ++pool.connections;
  result->start(to, keepalive, server_first);
  return *result;
}

void Worker::end_connection(ServerConnection& connection) {
  const auto found = connections_.find(&connection);
  CHECK(found != connections_.end());
  --connection.pool().connections;
  dead_connections_.push_back(std::move(found->second));
  connections_.erase(found);
  undertaker_->call();
}

void Worker::serve_queues(const ProxyState& backend) {
  // A session that finds no slot goes to the queue's end again, so each is asked once.
  const auto serve = [&](BackendRuntime& runtime) {
    for (std::size_t waiting = runtime.queue.size(); waiting > 0 && !runtime.queue.empty();
         --waiting) {
      Session* const first = runtime.queue.front();
      first->on_slot();
      if (!runtime.queue.empty() && runtime.queue.back() == first) {
        // Still no slot: it keeps its place, and nobody behind it is served before it.
        runtime.queue.pop_back();
        runtime.queue.push_front(first);
        return;
      }
    }
  };
  // Who came before a reload waits in the queue of its own configuration, and came first.
  std::erase_if(earlier_generations_, [](const auto& earlier) { return earlier.expired(); });
  std::vector<std::shared_ptr<WorkerGeneration>> all;
  for (const auto& earlier : earlier_generations_) {
    if (auto held = earlier.lock()) all.push_back(std::move(held));
  }
  all.push_back(generation_);
  for (const auto& generation : all) {
    for (const auto& runtime : generation->backends) {
      if (runtime != nullptr && runtime->proxy->backend.get() == &backend) serve(*runtime);
    }
  }
}

void Worker::on_timer(Instant now) {
  for (auto at = pools_.begin(); at != pools_.end();) {
    ServerPool& pool = *at->second;
    // Least recently used first; those in front are the oldest.
    while (!pool.idle.empty() &&
           now - pool.idle.front()->idle_since() >= ServerConnection::kIdleLife) {
      pool.idle.front()->close();
    }
    // A server that no configuration knows any more; its dying connections still name the pool.
    const bool forgotten = pool.connections == 0 && pool.state.use_count() == 1;
    at = forgotten && dead_connections_.empty() ? pools_.erase(at) : std::next(at);
  }
  loop_.arm(*this, kSweepInterval);
}

void Worker::bury() {
  dead_sessions_.clear();
  dead_connections_.clear();
}

std::optional<Worker::PageAnswer> Worker::statistics_page(
    const Proxy& of, const Generation& generation, std::string_view method, std::string_view uri,
    std::string_view authorization, bool close) {
  const StatsPageConfig& page = of.config->stats;
  if (!stats_page_covers(page, uri)) return std::nullopt;
  auto text = stats_response(
      page, generation, hub_.process_info(),
      StatsRequest{.method = method, .target = uri, .authorization = authorization, .close = close},
      loop_.now(), loop_.wall_time());
  if (!text) return std::nullopt;
  PageAnswer answer;
  // "HTTP/1.1 200 ..."
  answer.status = (*text)[9] == '4' ? 401 : (*text)[9] == '3' ? 303 : 200;
  answer.text = *std::move(text);
  return answer;
}

std::function<void(Worker&)> task_for_server_down(const Server& server) {
  const auto state = server.state;
  if (server.config->mark_down_kills_sessions) {
    return [state](Worker& worker) { worker.kill_server_sessions(*state, 'D'); };
  }
  if (!state->looks_dead()) return [](Worker&) {};
  return [state](Worker& worker) { worker.watch_server_sessions(*state); };
}

std::function<void(Worker&)> task_for_server_up(const Proxy& proxy, const Server& server) {
  std::vector<std::shared_ptr<ServerState>> left;
  // Only by one that takes the work over from the backups (section 5.2, "on-marked-up").
  if (server.config->mark_up_kills_backup_sessions && !server.config->backup &&
      server.state->usable()) {
    for (const Server& other : proxy.servers) {
      if (other.config->backup) left.push_back(other.state);
    }
  }
  return [backend = proxy.backend, left](Worker& worker) {
    for (const auto& state : left) worker.kill_server_sessions(*state, 'U');
    worker.serve_queues(*backend);
  };
}

}  // namespace nines::proxy
