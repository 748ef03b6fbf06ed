// The manager plane as its supervisor has it: started, restarted, asked. Nothing waits for it, and
// what it knows ends with it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "galera_setup.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "node/plane_process.h"
#include "node/plane_requests.h"

namespace nines {

// Lives on the loop of a process with one thread; loop and log outlive it.
class ManagerPlane final : private node::PlaneSupport {
 public:
  static constexpr Duration kEndPatience = std::chrono::seconds(1);

  ManagerPlane(GaleraSetup setup, io::EpollLoop& loop, io::Log& log);
  ~ManagerPlane() override { requests_.fail(); }

  Result<void> start() { return plane_.start(); }
  // Another one begins at once, unless all of it is as it was.
  void watch(GaleraSetup setup);
  void end();

  // `answered` is called once, from the loop: with kUnavailable when there is no manager or it dies
  // before it has answered.
  void ask(std::string_view request, node::PlaneRequests::Answered answered);

  const node::PlaneProcess& plane() const { return plane_; }

 private:
  int run_plane() override;
  Result<void> on_plane_started() override { return {}; }
  void on_plane_message(node::ChannelMessage message) override;
  void on_plane_fit(bool) override {}  // nothing counts on it
  void on_plane_died(bool) override { requests_.fail(); }

  static node::PlanePolicy policy();

  io::Log& log_;
  GaleraSetup setup_;
  node::PlaneRequests requests_;
  node::PlaneProcess plane_;
};

}  // namespace nines
