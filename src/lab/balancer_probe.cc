// One connection at a time, over the loop. A refused one is tried again after a short while: a
// socket that is not there yet gives no event to wait for.
#include "lab/balancer_probe.h"

#include <cstdio>

#include "io/linux/epoll_loop.h"

namespace nines::lab {
namespace {

constexpr Duration kProbeDeadline = 15s;
constexpr Duration kRetryDelay = 5ms;
constexpr Duration kAnswerTimeout = 1s;
// Any protocol's server answers this somehow: a page, a 400, a MySQL greeting sent before it.
constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";

class Probe final : public io::StreamHandler, private Timer {
 public:
  Probe(io::EpollLoop& loop, const std::vector<ProbeTarget>& targets)
      : loop_(loop), targets_(targets), deadline_(loop.now() + kProbeDeadline) {
    try_next();
  }
  ~Probe() override { drop(); }

  bool done() const { return next_ == targets_.size(); }

  void on_connected(io::Stream& stream) override {
    if (!targets_[next_].expects_bytes) return advance();
    stream.send(kRequest);
  }
  void on_data(io::Stream&, io::LentBytes) override { advance(); }
  void on_end(io::Stream&) override { retry(); }
  void on_failed(io::Stream&, const Error&) override { retry(); }

 private:
  void on_timer(Instant now) override {
    drop();
    if (now >= deadline_) return loop_.stop();
    try_next();
  }
  void try_next() {
    if (done()) return loop_.stop();
    stream_ = &loop_.connect(targets_[next_].address, {}, *this);
    loop_.arm(*this, kAnswerTimeout);
  }
  void advance() {
    drop();
    ++next_;
    try_next();
  }
  void retry() {
    drop();
    loop_.arm(*this, kRetryDelay);
  }
  void drop() {
    cancel();
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->abort();
  }

  io::EpollLoop& loop_;
  const std::vector<ProbeTarget>& targets_;
  Instant deadline_;
  io::Stream* stream_ = nullptr;
  std::size_t next_ = 0;
};

}  // namespace

int run_balancer_probe(const std::vector<ProbeTarget>& targets, ReadySignal ready) {
  auto loop = io::EpollLoop::create();
  if (!loop.has_value()) return std::fprintf(stderr, "%s\n", loop.error().message().c_str()), 1;
  Probe probe(**loop, targets);
  if (!probe.done()) (*loop)->run();
  if (!probe.done()) return 1;
  ready.ready();
  return 0;
}

}  // namespace nines::lab
