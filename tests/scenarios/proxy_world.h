// A whole proxy in a simulated world: real workers, real health checks, real configurations, with
// scripted servers behind and scripted clients in front.
//
//   host "clients" ── host "front": control loop, worker loops ── hosts "s1", "s2", ...
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "proxy/health_driver.h"
#include "proxy/server_connection.h"
#include "proxy/silence_driver.h"
#include "proxy/worker.h"
#include "sim/for_each_seed.h"
#include "sim/world.h"
#include "web_client.h"
#include "web_server.h"

namespace nines::scenarios {

class ProxyWorld final : private proxy::Hub,
                         private proxy::HealthObserver,
                         private proxy::ListenerSource {
 public:
  static constexpr std::uint16_t kServerPort = 80;
  static constexpr std::uint16_t kWorkerPorts = 1000;  // worker n listens at the port + n * this

  struct Options {
    int servers = 3;
    int workers = 1;
    bool start_servers = true;  // WebServers
  };
  ProxyWorld(sim::World& world, Options options);
  explicit ProxyWorld(sim::World& world) : ProxyWorld(world, Options{}) {}
  ~ProxyWorld() override;

  // Loads, and returns when that is done; or reloads, on the proxy's loops, which takes less than a
  // millisecond. "%s1" and so on in the text stand for the servers' addresses, "%front" for ours.
  void load(std::string text);
  void set_state(const std::string& proxy, const std::string& server, proxy::AdminState state);
  void stop();  // softly
  void kill();  // the process, as by SIGKILL
  void end();   // the workers go away, whatever they are doing

  sim::World& world() { return world_; }
  sim::Host& front() { return front_; }
  sim::Host& clients_host() { return clients_host_; }
  sim::Process& clients() { return *clients_; }
  sim::Host& server_host(int number) { return *hosts_[index(number)]; }  // from 1
  sim::Process& server_process(int number) { return *processes_[index(number)]; }
  WebServer& server(int number) { return *servers_[index(number)]; }
  void start_server(int number);
  void kill_server(int number, sim::Ending ending = sim::Ending::kLikeLinux);

  SocketAddress address(std::uint16_t port, int worker = 0) const;
  WebClient& add_client(WebClient::Options options = {}, std::uint16_t port = 8080, int worker = 0);
  std::uint64_t next_id() { return ++last_id_; }
  Ask ask() { return Ask{.id = next_id()}; }
  bool clients_done() const;
  std::string pending() const;  // what clients still wait for
  // How many answers ended so, over all clients.
  int count(Outcome outcome) const;

  const proxy::Generation& generation() const { return *generations_.back(); }
  proxy::ServerState& state(const std::string& proxy, const std::string& server) const;
  proxy::ProxyState& backend(const std::string& proxy) const;
  proxy::ProxyState& frontend(const std::string& proxy) const;
  proxy::Worker& worker(int number = 0) { return *workers_[static_cast<std::size_t>(number)]; }
  sim::SimLoop& worker_loop(int number = 0) {
    return *worker_loops_[static_cast<std::size_t>(number)];
  }
  proxy::ProcessState& state() { return process_state_; }
  Journal& journal() { return journal_; }
  const std::vector<std::string>& health_lines() const { return health_lines_; }

  // After the traffic: sessions end, pools empty, every level returns to zero and the sums agree.
  void expect_quiet(Duration limit = 60s);
  // The most bytes that the proxy's streams held in their own queues at once, so far.
  std::size_t queued_most() const { return queued_most_; }
  void watch_queues();  // begins looking

 private:
  static std::size_t index(int number) { return static_cast<std::size_t>(number - 1); }
  void on_workers(std::function<void(proxy::Worker&)> task);
  std::string fill(std::string text) const;
  void look_at_queues();
  void check_sums();

  proxy::ProcessState& process() override { return process_state_; }
  void on_traffic_failure(const std::shared_ptr<const proxy::Generation>& generation, int proxy,
                          int server) override;
  void on_silence(const std::shared_ptr<const proxy::Generation>& generation, int proxy,
                  int server) override;
  void on_captured_error(proxy::CapturedError) override {}
  void on_slot_freed(const proxy::ProxyState& backend, int worker) override;
  void on_connection_freed(int worker) override;
  proxy::ProcessInfo process_info() const override { return {}; }

  void on_health_log(const proxy::Proxy&, proxy::LogLevel, const std::string& text) override;
  void on_server_down(const proxy::Proxy&, const proxy::Server&) override;
  void on_server_up(const proxy::Proxy&, const proxy::Server&) override;

  Result<io::Acceptor*> open(io::Loop& loop, const proxy::BindConfig& bind, bool client_first,
                             io::AcceptHandler& handler) override;

  sim::World& world_;
  sim::Host& front_;
  sim::Host& clients_host_;
  sim::Process* proxy_;
  sim::Process* clients_;
  proxy::ProcessState process_state_;
  std::vector<sim::SimLoop*> worker_loops_;
  std::vector<std::unique_ptr<proxy::Worker>> workers_;
  std::unique_ptr<proxy::HealthDriver> health_;
  std::unique_ptr<proxy::SilenceDriver> silence_;
  std::vector<std::shared_ptr<const proxy::Generation>> generations_;  // all there were
  std::vector<sim::Host*> hosts_;
  std::vector<sim::Process*> processes_;
  std::vector<WebServer*> servers_;
  std::vector<WebClient*> web_clients_;
  Journal journal_;
  std::vector<std::string> health_lines_;
  std::uint64_t last_id_ = 0;
  std::size_t queued_most_ = 0;
};

}  // namespace nines::scenarios
