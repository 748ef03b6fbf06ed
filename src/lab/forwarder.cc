// A relay of bytes in both directions with back-pressure: a side whose peer's queue is full is not
// read until that has drained.
#include "lab/forwarder.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <set>
#include <utility>

#include "io/linux/epoll_loop.h"
#include "io/linux/socket.h"

namespace nines::lab {
namespace {

constexpr std::uint16_t kPortOffset = 20000;

// Both ends of one relayed connection. Deletes itself when either end is broken or both are done.
class Relay final : public io::StreamHandler {
 public:
  Relay(io::Loop& loop, io::Stream& near, const SocketAddress& target)
      : near_(&near), far_(&loop.connect(target, options(), *this)) {
    near_->set_handler(this);
    near_->pause();  // until the far side is there
    near_->watch();
  }

  void on_connected(io::Stream&) override { near_->resume(); }
  void on_data(io::Stream& from, io::LentBytes bytes) override {
    if (other(from).send(bytes.view()) == io::Sent::kQueued) from.pause();
  }
  void on_drained(io::Stream& to) override {
    other(to).resume();
    end_if_done();
  }
  void on_end(io::Stream& from) override {
    other(from).finish();
    ++ended_;
    end_if_done();
  }
  void on_failed(io::Stream& stream, const Error&) override {
    other(stream).abort();
    stream.close();
    delete this;
  }

 private:
  ~Relay() override = default;
  static io::ConnectOptions options() {
    io::ConnectOptions result;
    result.peer_may_speak_first = true;  // a relay knows no protocol
    return result;
  }
  io::Stream& other(io::Stream& stream) { return &stream == near_ ? *far_ : *near_; }
  void end_if_done() {
    if (ended_ < 2 || near_->queued() > 0 || far_->queued() > 0) return;
    near_->close();
    far_->close();
    delete this;
  }

  io::Stream* near_;
  io::Stream* far_;
  int ended_ = 0;
};

class Door final : public io::AcceptHandler {
 public:
  Door(io::Loop& loop, SocketAddress target) : loop_(loop), target_(std::move(target)) {}
  // A relay owns itself from here on.
  void on_accepted(io::Stream& stream) override { new Relay(loop_, stream, target_); }
  void on_accept_exhausted(const Error& error) override {
    std::fprintf(stderr, "forward: %s\n", error.message().c_str());
  }

 private:
  io::Loop& loop_;
  SocketAddress target_;
};

// Not io::open_listener(): that shares a port with others who would share it (SO_REUSEPORT), and
// two labs would get each other's clients.
Result<io::Descriptor> listen_alone(const SocketAddress& at) {
  const auto address = TRY(io::to_kernel(at));
  io::Descriptor result(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!result) return Error::from_errno(errno, "socket");
  const int on = 1;
  ::setsockopt(result.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(result.get(), address.get(), address.size) != 0 ||
      ::listen(result.get(), SOMAXCONN) != 0) {
    return Error::from_errno(errno, at.text());
  }
  return result;
}

}  // namespace

Result<Forward> open_forward(std::string name, const SocketAddress& target) {
  const auto loopback = SocketAddress::ipv4({127, 0, 0, 1}, 0);
  const int wanted = target.port() + kPortOffset;
  Forward result{.name = std::move(name), .local = {}, .target = target, .listener = {}};
  if (wanted <= UINT16_MAX) {
    auto first = listen_alone(loopback.with_port(static_cast<std::uint16_t>(wanted)));
    if (first.has_value()) result.listener = *std::move(first);
  }
  if (!result.listener) result.listener = TRY(listen_alone(loopback));
  result.local = TRY(io::local_address(result.listener.get()));
  return result;
}

int run_forwarder(const std::vector<Forward>& forwards, ReadySignal ready) {
  auto loop = io::EpollLoop::create();
  if (!loop.has_value()) return std::fprintf(stderr, "%s\n", loop.error().message().c_str()), 1;
  std::vector<std::unique_ptr<Door>> doors;
  for (const auto& forward : forwards) {
    doors.push_back(std::make_unique<Door>(**loop, forward.target));
    (*loop)->share_listener(forward.listener.get(), forward.local, *doors.back());
  }
  ready.ready();
  (*loop)->run();
  return 0;
}

}  // namespace nines::lab
