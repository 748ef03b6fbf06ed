// What production's process around the workers does, as far as sessions can tell.
#include "proxy_world.h"

#include <set>

#include "proxy/config_load.h"

namespace nines::scenarios {

ProxyWorld::ProxyWorld(sim::World& world, Options options)
    : world_(world),
      front_(world.add_host("front", {"10.0.0.1"})),
      clients_host_(world.add_host("clients", {"10.0.0.2"})),
      proxy_(&front_.start("proxy")),
      clients_(&clients_host_.start("clients")),
      process_state_(options.workers) {
  proxy::Hub& hub = *this;
  proxy::ListenerSource& listeners = *this;
  proxy::HealthObserver& observer = *this;
  for (int i = 0; i < options.workers; ++i) {
    sim::SimLoop& loop = proxy_->add_loop();
    worker_loops_.push_back(&loop);
    workers_.push_back(std::make_unique<proxy::Worker>(
        loop, hub, listeners, proxy::Worker::Options{.index = i, .pid = 1, .version = "test"}));
  }
  health_ = std::make_unique<proxy::HealthDriver>(proxy_->loop(), observer,
                                                  base::Rng(world.rng().next()));
  silence_ = std::make_unique<proxy::SilenceDriver>(
      proxy_->loop(), [this](const proxy::Proxy&, const proxy::Server& server, bool silent) {
        world_.note(server.config->name + (silent ? " is silent" : " answers again"));
      });
  for (int i = 1; i <= options.servers; ++i) {
    hosts_.push_back(&world.add_host("s" + std::to_string(i), {"10.0.0.1" + std::to_string(i)}));
    processes_.push_back(nullptr);
    servers_.push_back(nullptr);
    if (options.start_servers) start_server(i);
  }
}

ProxyWorld::~ProxyWorld() { end(); }

void ProxyWorld::end() {
  workers_.clear();
  silence_.reset();
  health_.reset();
}

void ProxyWorld::start_server(int number) {
  sim::Host& host = server_host(number);
  sim::Process& process = host.start("web");
  processes_[index(number)] = &process;
  servers_[index(number)] =
      &process.make<WebServer>(process.loop(), host.address(kServerPort), host.name(), journal_);
}

void ProxyWorld::kill_server(int number, sim::Ending ending) {
  processes_[index(number)]->kill(ending);
  servers_[index(number)] = nullptr;
}

std::string ProxyWorld::fill(std::string text) const {
  const auto replace = [&text](const std::string& what, const std::string& by) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
      text.replace(at, what.size(), by);
    }
  };
  replace("%front", "10.0.0.1");
  for (const sim::Host* host : hosts_) {
    replace("%" + host->name(), host->address(kServerPort).text());
  }
  return text;
}

void ProxyWorld::load(std::string text) {
  const text::SourceFile file("test.cfg", fill(std::move(text)));
  proxy::LoadedConfig loaded = proxy::load_config({&file, 1}, {});
  ASSERT_TRUE(loaded.ok()) << loaded.diagnostics.all().front().message;
  process_state_.maxconn = loaded.config.global.maxconn;
  const bool first = generations_.empty();
  proxy_->loop().post([this, config = std::move(loaded.config)]() mutable {
    const auto* const before = generations_.empty() ? nullptr : generations_.back().get();
    auto next = proxy::Generation::create(std::move(config), static_cast<int>(workers_.size()),
                                          proxy_->loop().now(), before);
    generations_.push_back(next);
    health_->adopt(next);
    on_workers([next](proxy::Worker& worker) {
      for (const Error& error : worker.adopt(next)) ADD_FAILURE() << error.message();
    });
  });
  if (first) world_.run_for(1ms);
}

void ProxyWorld::set_state(const std::string& proxy, const std::string& server,
                           proxy::AdminState state) {
  proxy_->loop().post([this, proxy, server, state] {
    if (const auto* found = generation().find_server(proxy, server)) {
      health_->set_state(*found, state);
    }
  });
}

void ProxyWorld::stop() {
  on_workers([](proxy::Worker& worker) { worker.begin_stopping(); });
}

void ProxyWorld::kill() { proxy_->kill(); }

void ProxyWorld::on_workers(std::function<void(proxy::Worker&)> task) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    worker_loops_[i]->post([this, i, task] {
      if (i < workers_.size()) task(*workers_[i]);
    });
  }
}

SocketAddress ProxyWorld::address(std::uint16_t port, int worker) const {
  return front_.address(static_cast<std::uint16_t>(port + worker * kWorkerPorts));
}

WebClient& ProxyWorld::add_client(WebClient::Options options, std::uint16_t port, int worker) {
  web_clients_.push_back(
      &clients_->make<WebClient>(clients_->loop(), address(port, worker), options, journal_));
  return *web_clients_.back();
}

bool ProxyWorld::clients_done() const {
  for (const WebClient* client : web_clients_) {
    if (!client->done()) return false;
  }
  return true;
}

std::string ProxyWorld::pending() const {
  std::string text;
  for (const WebClient* client : web_clients_) {
    if (!client->done()) text += client->state() + "\n";
  }
  for (const auto& worker : workers_) {
    for (const auto& session : worker->list_sessions()) {
      text += session.source + " in " + session.frontend + ": " + session.state + " " +
              session.server + "\n";
    }
  }
  return text;
}

int ProxyWorld::count(Outcome outcome) const {
  int sum = 0;
  for (const WebClient* client : web_clients_) {
    for (const Answer& answer : client->answers()) sum += answer.outcome == outcome ? 1 : 0;
  }
  return sum;
}

proxy::ServerState& ProxyWorld::state(const std::string& proxy, const std::string& server) const {
  return *generation().find_server(proxy, server)->state;
}

proxy::ProxyState& ProxyWorld::backend(const std::string& proxy) const {
  for (const proxy::Proxy& found : generation().proxies) {
    if (found.config->name == proxy && found.backend != nullptr) return *found.backend;
  }
  ADD_FAILURE() << "no backend " << proxy;
  std::abort();
}

proxy::ProxyState& ProxyWorld::frontend(const std::string& proxy) const {
  for (const proxy::Proxy& found : generation().proxies) {
    if (found.config->name == proxy && found.frontend != nullptr) return *found.frontend;
  }
  ADD_FAILURE() << "no frontend " << proxy;
  std::abort();
}

void ProxyWorld::watch_queues() {
  look_at_queues();
  world_.after(1ms, [this] { watch_queues(); });
}

void ProxyWorld::look_at_queues() {
  std::size_t sum = 0;
  for (const sim::SimLoop* loop : worker_loops_) sum += loop->queued();
  queued_most_ = std::max(queued_most_, sum);
}

void ProxyWorld::expect_quiet(Duration limit) {
  EXPECT_TRUE(
      world_.run_until([&] { return process_state_.current_connections.value() == 0; }, limit))
      << process_state_.current_connections.value() << " sessions do not end";
  // The pools' connections live for some seconds more.
  world_.run_for(proxy::ServerConnection::kIdleLife + 2s);
  for (std::size_t i = 0; i < workers_.size(); ++i) EXPECT_TRUE(workers_[i]->idle());
  for (const auto& generation : generations_) {
    for (const proxy::Proxy& proxy : generation->proxies) {
      for (const auto& side : {proxy.frontend, proxy.backend}) {
        if (side == nullptr) continue;
        EXPECT_EQ(side->sessions.value(), 0) << proxy.config->name;
        EXPECT_EQ(side->queued.value(), 0) << proxy.config->name;
      }
      for (const proxy::Server& server : proxy.servers) {
        EXPECT_EQ(server.state->sessions.value(), 0) << server.config->name;
        EXPECT_EQ(server.state->queued.value(), 0) << server.config->name;
        EXPECT_EQ(server.state->idle.value(), 0) << server.config->name;
      }
    }
  }
  check_sums();
}

// A backend counts what its servers count, of all generations that shared its state.
void ProxyWorld::check_sums() {
  std::set<const proxy::ProxyState*> backends;
  for (const auto& generation : generations_) {
    for (const proxy::Proxy& proxy : generation->proxies) {
      if (proxy.backend != nullptr) backends.insert(proxy.backend.get());
    }
  }
  for (const proxy::ProxyState* backend : backends) {
    std::set<const proxy::ServerState*> servers;
    std::string name;
    for (const auto& generation : generations_) {
      for (const proxy::Proxy& proxy : generation->proxies) {
        if (proxy.backend.get() != backend) continue;
        name = proxy.config->name;
        for (const proxy::Server& server : proxy.servers) servers.insert(server.state.get());
      }
    }
    const auto expect_sum = [&](const char* what, proxy::Counter proxy::ServerCounters::*part,
                                proxy::Counter proxy::ProxyCounters::*whole) {
      std::uint64_t parts = 0, sum = 0;
      for (const auto* server : servers) {
        for (const auto& counters : server->counters) parts += (counters.*part).value();
      }
      for (const auto& counters : backend->counters) sum += (counters.*whole).value();
      EXPECT_EQ(parts, sum) << name << ": " << what;
    };
    using S = proxy::ServerCounters;
    using P = proxy::ProxyCounters;
    expect_sum("selected", &S::selected, &P::selected);
    expect_sum("connects", &S::connects, &P::connects);
    expect_sum("reuses", &S::reuses, &P::reuses);
    expect_sum("replays", &S::replays, &P::replays);
    expect_sum("retries", &S::retries, &P::retries);
    expect_sum("redispatches", &S::redispatches, &P::redispatches);
    expect_sum("response errors", &S::response_errors, &P::response_errors);
    expect_sum("server aborts", &S::server_aborts, &P::server_aborts);
  }
}

void ProxyWorld::on_traffic_failure(const std::shared_ptr<const proxy::Generation>& generation,
                                    int proxy, int server) {
  proxy_->loop().post([this, generation, proxy, server] {
    if (health_ != nullptr) health_->on_traffic_failure(*generation, proxy, server);
  });
}

void ProxyWorld::on_silence(const std::shared_ptr<const proxy::Generation>& generation, int proxy,
                            int server) {
  proxy_->loop().post([this, generation, proxy, server] {
    if (silence_ != nullptr) silence_->on_evidence(generation, proxy, server);
  });
}

void ProxyWorld::on_slot_freed(const proxy::ProxyState& backend, int worker) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (static_cast<int>(i) == worker) continue;
    worker_loops_[i]->post([this, i, &backend] {
      if (i < workers_.size()) workers_[i]->serve_queues(backend);
    });
  }
}

void ProxyWorld::on_connection_freed(int worker) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (static_cast<int>(i) == worker) continue;
    worker_loops_[i]->post([this, i] {
      if (i < workers_.size()) workers_[i]->update_listeners();
    });
  }
}

void ProxyWorld::on_health_log(const proxy::Proxy&, proxy::LogLevel, const std::string& text) {
  health_lines_.push_back(text.substr(0, text.find(',')));
  world_.note(health_lines_.back());
}

void ProxyWorld::on_server_down(const proxy::Proxy&, const proxy::Server& server) {
  on_workers(proxy::task_for_server_down(server));
}

void ProxyWorld::on_server_up(const proxy::Proxy& proxy, const proxy::Server& server) {
  on_workers(proxy::task_for_server_up(proxy, server));
}

Result<io::Acceptor*> ProxyWorld::open(io::Loop& loop, const proxy::BindConfig& bind, bool,
                                       io::AcceptHandler& handler) {
  int worker = 0;
  while (worker_loops_[static_cast<std::size_t>(worker)] != &loop) ++worker;
  const auto port = static_cast<std::uint16_t>(bind.address.port() + worker * kWorkerPorts);
  return loop.listen(bind.address.with_port(port), {}, handler);
}

}  // namespace nines::scenarios
