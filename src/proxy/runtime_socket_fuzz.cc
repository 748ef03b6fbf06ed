// Any bytes at all on the runtime socket, cut at any place: no crash, answers that do not depend on
// how the input was cut, and every answer comes to an end.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "proxy/runtime_socket.h"

namespace nines::proxy {
namespace {

class NoControl final : public Control {
 public:
  Instant now() const override { return Instant{5'000'000'000}; }
  WallTime wall_time() const override { return WallTime{1'767'323'045'678'000'000}; }
  std::shared_ptr<const Generation> generation() const override { return generation_; }
  ProcessInfo process_info() const override { return {}; }
  Result<void> set_server_state(const std::string&, const std::string&, AdminState) override {
    return {};
  }
  Result<void> set_server_weight(const std::string&, const std::string&, int weight) override {
    CHECK(weight >= 0 && weight <= 256);
    return {};
  }
  Result<void> set_server_checks(const std::string&, const std::string&, bool) override {
    return {};
  }
  Result<void> set_server_health(const std::string&, const std::string&, bool) override {
    return {};
  }
  Result<void> set_frontend_enabled(const std::string&, bool) override { return {}; }
  Result<void> set_frontend_maxconn(const std::string&, int maxconn) override {
    CHECK(maxconn >= 0);
    return {};
  }
  Result<void> shutdown_server_sessions(const std::string&, const std::string&) override {
    return {};
  }
  Result<void> shutdown_session(std::uint64_t) override {
    return Error(ErrorCode::kNotFound, "no such session");
  }
  void clear_counters(bool) override {}
  void list_sessions(std::function<void(std::vector<SessionInfo>)>) override {}
  const std::vector<CapturedError>& captured_errors() const override { return errors_; }

 private:
  static std::shared_ptr<const Generation> make_generation() {
    Config config;
    ProxyConfig proxy;
    proxy.name = "api";
    proxy.frontend = proxy.backend = true;
    ServerConfig server;
    server.name = "node1";
    server.check = true;
    proxy.servers.push_back(server);
    config.proxies.push_back(proxy);
    return Generation::create(std::move(config), 1, Instant{1'000'000'000}, nullptr);
  }
  std::shared_ptr<const Generation> generation_ = make_generation();
  std::vector<CapturedError> errors_;
};

// Everything answered when the input comes in pieces of `piece` bytes.
std::string talk(std::string_view input, std::size_t piece, std::size_t portion,
                 SocketLevel level) {
  NoControl control;
  RuntimeClient client;
  client.level = level;
  RuntimeSocket socket(control, client);
  std::string out;
  const auto settle = [&] {
    for (;;) {
      std::string some;
      socket.produce(some, portion);
      out += some;
      if (socket.wants_sessions()) {
        socket.sessions_asked();
        socket.sessions_came({});
      } else if (some.empty()) {
        return;
      }
    }
  };
  while (!input.empty() && !socket.finished()) {
    const std::size_t count = std::min(piece, input.size());
    socket.receive(input.substr(0, count));
    input.remove_prefix(count);
    settle();
  }
  socket.end();
  settle();
  CHECK(socket.finished());
  return out;
}

}  // namespace
}  // namespace nines::proxy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using nines::proxy::SocketLevel;
  using nines::proxy::talk;
  if (size == 0) return 0;
  constexpr std::size_t kSizeMax = 4096;
  const auto level = static_cast<SocketLevel>(data[0] % 3);
  // With a prompt the connection lives until the end, however the input is cut; once the prompt is
  // given up, lines that have not come by then are not answered.
  const std::string input = "prompt\n" + std::string(reinterpret_cast<const char*>(data) + 1,
                                                     std::min(size - 1, kSizeMax));
  const std::string whole = talk(input, input.size(), std::size_t{1} << 30, level);
  CHECK(whole.starts_with(talk(input, 1 + data[0] % 7, 1 + data[0], level)));
  return 0;
}
