// The manager plane as its supervisor has it: started, restarted, asked. Nothing waits for it, and
// what it knows ends with it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "galera_setup.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "node/member_word.h"
#include "node/plane_process.h"
#include "node/plane_requests.h"

namespace nines {

// Lives on the loop of a process with one thread; loop and log outlive it.
class ManagerPlane final : private node::PlaneSupport, private base::Timer {
 public:
  static constexpr Duration kEndPatience = std::chrono::seconds(1);

  // Of a manager that is at work. Whoever asks has other things to show.
  static constexpr Duration kAnswerWithin = std::chrono::milliseconds(500);

  // `heard`: what it hears from the members, and that it does so no more.
  using Heard = std::function<void(const node::MemberWord&)>;
  // `recover`: begin a recovery, for the reason that is given; then recovered().
  using Recover = std::function<void(const std::string& why)>;
  ManagerPlane(GaleraSetup setup, io::EpollLoop& loop, io::Log& log, Heard heard, Recover recover);
  ~ManagerPlane() override { requests_.fail(); }

  Result<void> start() { return plane_.start(); }
  // Another one begins at once, unless all of it is as it was.
  void watch(GaleraSetup setup);
  void end();

  // The exit code of a recovery that was begun, and why it refused.
  void recovered(int code, const std::string& words);

  // `answered` is called once, from the loop: with kUnavailable when there is no manager, it dies
  // before it has answered, or does not answer within kAnswerWithin.
  using Answered = node::PlaneRequests::Answered;
  void ask(std::string_view request, Answered answered);

  const node::PlaneProcess& plane() const { return plane_; }

 private:
  int run_plane() override;
  Result<void> on_plane_started() override { return {}; }
  void on_plane_message(node::ChannelMessage message) override;
  void on_plane_fit(bool) override {}  // nothing counts on it
  void on_plane_died(bool) override;
  void on_timer(Instant now) override;
  void arm();
  void heard(const std::string& text);

  static node::PlanePolicy policy();

  io::Log& log_;
  GaleraSetup setup_;
  io::EpollLoop& loop_;
  const Heard heard_;
  const Recover recover_;
  node::PlaneRequests requests_;
  node::PlaneProcess plane_;
};

}  // namespace nines
