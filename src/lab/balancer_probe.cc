// One connection at a time, over the loop. A refused one is tried again after a short while: a
// socket that is not there yet gives no event to wait for.
#include "lab/balancer_probe.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "io/linux/epoll_loop.h"

namespace nines::lab {
namespace {

constexpr Duration kProbeDeadline = 15s;
constexpr Duration kWorkDeadline = 60s;  // when a target has to do real work
constexpr Duration kWorkTimeout = 10s;
constexpr Duration kRetryDelay = 5ms;
constexpr Duration kAnswerTimeout = 1s;
// Any protocol's server answers this somehow: a page, a 400, a MySQL greeting sent before it.
constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";

class Probe final : public io::StreamHandler, private Timer {
 public:
  Probe(io::EpollLoop& loop, const std::vector<ProbeTarget>& targets)
      : loop_(loop), targets_(targets), deadline_(loop.now() + deadline_of(targets)) {
    try_next();
  }
  ~Probe() override { drop(); }

  bool done() const { return next_ == targets_.size(); }

  void on_connected(io::Stream& stream) override {
    if (!targets_[next_].expects_bytes) return advance();
    const std::string& own = targets_[next_].request;
    answer_.clear();
    stream.send(own.empty() ? kRequest : std::string_view(own));
  }
  void on_data(io::Stream&, io::LentBytes bytes) override {
    const std::string_view wanted = targets_[next_].answer;
    answer_ += bytes.view().substr(0, wanted.size());
    if (answer_.starts_with(wanted)) return advance();
    if (answer_.size() >= wanted.size()) retry();
  }
  void on_end(io::Stream&) override { retry(); }
  void on_failed(io::Stream&, const Error&) override { retry(); }

 private:
  static Duration deadline_of(const std::vector<ProbeTarget>& targets) {
    const bool works = std::any_of(targets.begin(), targets.end(),
                                   [](const auto& each) { return !each.request.empty(); });
    return works ? kWorkDeadline : kProbeDeadline;
  }
  void on_timer(Instant now) override {
    drop();
    if (now >= deadline_) return loop_.stop();
    try_next();
  }
  void try_next() {
    if (done()) return loop_.stop();
    stream_ = &loop_.connect(targets_[next_].address, {}, *this);
    loop_.arm(*this, targets_[next_].request.empty() ? kAnswerTimeout : kWorkTimeout);
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
  std::string answer_;  // its beginning
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
