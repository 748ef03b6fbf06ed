// A Control over the fixture's proxy that notes what it was told.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "proxy/runtime_socket.h"
#include "proxy/stats_fixture_test.h"

namespace nines::proxy {

class FakeControl final : public Control {
 public:
  Instant now() const override { return kFixtureNow; }
  WallTime wall_time() const override { return kFixtureWall; }
  std::shared_ptr<const Generation> generation() const override { return generation_; }
  ProcessInfo process_info() const override { return fixture_process(); }

  Result<void> set_server_state(const std::string& proxy, const std::string& server,
                                AdminState state) override {
    static constexpr const char* kNames[] = {"ready", "drain", "maint"};
    return note("state " + proxy + "/" + server + " " + kNames[static_cast<int>(state)]);
  }
  Result<void> set_server_weight(const std::string& proxy, const std::string& server,
                                 int weight) override {
    return note("weight " + proxy + "/" + server + " " + std::to_string(weight));
  }
  Result<void> set_server_checks(const std::string& proxy, const std::string& server,
                                 bool enabled) override {
    return note("checks " + proxy + "/" + server + (enabled ? " on" : " off"));
  }
  Result<void> set_server_health(const std::string& proxy, const std::string& server,
                                 bool up) override {
    return note("health " + proxy + "/" + server + (up ? " up" : " down"));
  }
  Result<void> set_frontend_enabled(const std::string& proxy, bool enabled) override {
    return note("frontend " + proxy + (enabled ? " on" : " off"));
  }
  Result<void> set_frontend_maxconn(const std::string& proxy, int maxconn) override {
    return note("maxconn " + proxy + " " + std::to_string(maxconn));
  }
  Result<void> shutdown_server_sessions(const std::string& proxy,
                                        const std::string& server) override {
    return note("shutdown " + proxy + "/" + server);
  }
  Result<void> shutdown_session(std::uint64_t id) override {
    if (id != 0x2a) return Error(ErrorCode::kNotFound, "no such session");
    return note("shutdown session");
  }
  void clear_counters(bool all) override { calls += all ? "clear all;" : "clear;"; }
  void list_sessions(std::function<void(std::vector<SessionInfo>)> done) override {
    waiting.push_back(std::move(done));
  }
  const std::vector<CapturedError>& captured_errors() const override { return errors; }

  static std::vector<SessionInfo> sessions() {
    SessionInfo first;
    first.id = 0x2a;
    first.protocol = "tcpv4";
    first.source = "192.0.2.7:50000";
    first.frontend = first.backend = "api";
    first.server = "node1";
    first.state = "sent, waiting for the answer";
    first.age = 65s;
    first.idle = 2s;
    first.worker = 1;
    first.requests = 3;
    SessionInfo second = first;
    second.id = 0x2b;
    second.backend = second.server = "";
    second.state = "waiting for a request";
    return {first, second};
  }

  std::string calls;  // what was asked for, each with a semicolon
  std::vector<std::function<void(std::vector<SessionInfo>)>> waiting;
  std::vector<CapturedError> errors;

 private:
  Result<void> note(const std::string& call) {
    calls += call + ";";
    return {};
  }
  std::shared_ptr<const Generation> generation_ = fixture_generation();
};

}  // namespace nines::proxy
