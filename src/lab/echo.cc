// One datagram in, one out.
#include "lab/echo.h"

#include <cstdio>
#include <string_view>

#include "io/linux/epoll_loop.h"

namespace nines::lab {
namespace {

class Echo final : public io::DatagramHandler {
 public:
  explicit Echo(const std::string& node) : node_(node) {}
  void answer_through(io::Datagram& socket) { socket_ = &socket; }
  void on_datagram(const SocketAddress& from, std::string_view bytes) override {
    if (socket_ == nullptr || bytes.size() > kEchoBytesMax) return;
    socket_->send_to(from, std::string(bytes) + node_);
  }

 private:
  const std::string& node_;
  io::Datagram* socket_ = nullptr;
};

}  // namespace

int run_echo(const SocketAddress& at, const std::string& node, ReadySignal ready) {
  const auto failed = [&](const Error& error) {
    std::fprintf(stderr, "echo %s: %s\n", at.text().c_str(), error.message().c_str());
    return 1;
  };
  auto loop = io::EpollLoop::create();
  if (!loop.has_value()) return failed(loop.error());
  Echo echo(node);
  auto socket = (*loop)->open_datagram(at, echo);
  if (!socket.has_value()) return failed(socket.error());
  echo.answer_through(**socket);
  ready.ready();
  (*loop)->run();
  return 0;
}

}  // namespace nines::lab
