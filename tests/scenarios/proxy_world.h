// A small cloud in the simulated world: one balancer running the real worker on a haproxy.cfg, web
// services that count what they executed, and clients that note how each request fared.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/loop.h"
#include "proxy/worker.h"
#include "sim/world.h"

namespace nines::scenarios {

// What all services together executed, by the request's path.
struct Executions {
  std::map<std::string, int> count;
};

// An HTTP/1.1 service: reads a request without a body, works for a while, answers in two parts.
class WebService final : public io::AcceptHandler {
 public:
  struct Options {
    Duration works_min = 100us;  // from the request's end to the answer's first part
    Duration works_max = 3ms;
    Duration between_parts = 500us;
    std::size_t body_size = 2000;  // bytes
  };
  WebService(sim::Process& process, const SocketAddress& at, Executions& executions, base::Rng& rng,
             Options options);
  ~WebService() override;
  void on_accepted(io::Stream& stream) override;
  void on_accept_exhausted(const Error&) override {}

 private:
  class Connection;
  io::Loop& loop_;
  Executions& executions_;
  base::Rng& rng_;
  Options options_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// The real worker, with nothing around it.
class Balancer final : private proxy::Hub, private proxy::ListenerSource {
 public:
  // `config`: the text of a haproxy.cfg without mistakes.
  Balancer(sim::Process& process, std::string config);
  ~Balancer() override;
  proxy::Worker& worker() { return *worker_; }
  int failures_seen() const { return failures_; }  // by traffic, told to the health checks

 private:
  proxy::ProcessState& process() override { return state_; }
  void on_traffic_failure(const std::shared_ptr<const proxy::Generation>&, int, int) override {
    ++failures_;
  }
  void on_captured_error(proxy::CapturedError) override {}
  void on_slot_freed(const proxy::ProxyState&, int) override {}
  proxy::ProcessInfo process_info() const override { return {}; }
  Result<io::Acceptor*> open(io::Loop& loop, const proxy::BindConfig& bind, bool client_first,
                             io::AcceptHandler& handler) override;

  proxy::ProcessState state_{1};
  int failures_ = 0;
  std::optional<proxy::Worker> worker_;
};

struct Outcome {
  std::string method, path;
  int status = 0;         // 0: the connection broke before a whole head came
  bool complete = false;  // the whole body came
  Duration took{};
};

// Sends requests one after another, on one connection as long as it lasts; every fifth is a POST.
class WebClient final : private io::StreamHandler, private Timer {
 public:
  static constexpr Duration kPatience = 30s;  // a reset may be lost, and nobody sends it again
  WebClient(sim::Process& process, const SocketAddress& to, std::string name, int requests);
  ~WebClient() override;
  bool done() const { return static_cast<int>(outcomes_.size()) >= requests_; }
  const std::vector<Outcome>& outcomes() const { return outcomes_; }

 private:
  void next();
  void finish_request();
  void on_data(io::Stream&, io::LentBytes bytes) override;
  void on_end(io::Stream&) override;
  void on_failed(io::Stream&, const Error&) override;
  void on_timer(Instant) override;
  void drop();

  io::Loop& loop_;
  SocketAddress to_;
  std::string name_;
  int requests_;
  io::Stream* stream_ = nullptr;
  std::string received_;
  Instant began_{};
  Outcome current_;
  std::vector<Outcome> outcomes_;
};

}  // namespace nines::scenarios
