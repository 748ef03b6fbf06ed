// A plane's process and the channel to it: forked, seen through its pidfd, asked, killed and
// restarted as its watch (plane_watch.h) decides.
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"
#include "io/linux/descriptor.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "node/plane_channel.h"
#include "node/plane_watch.h"

namespace nines::node {

// What a supervisor does for one plane. Outlives the PlaneProcess.
class PlaneSupport {
 public:
  virtual ~PlaneSupport() = default;
  // In the forked child, which holds nothing of the supervisor's but the standard streams and
  // kPlaneChannel. Its return value is the exit status.
  virtual int run_plane() = 0;
  // It lives: what it needs to begin is sent now. On an error it is ended and started again later.
  virtual Result<void> on_plane_started() = 0;
  // Everything but answers to questions.
  virtual void on_plane_message(ChannelMessage message) = 0;
  virtual void on_plane_fit(bool fit) = 0;
  // `asked_for`: after end(). Else it is started again unless end() is called here.
  virtual void on_plane_died(bool asked_for) = 0;
};

// The plane's side of its channel, in the plane.
inline constexpr int kPlaneChannel = 3;

// Lives on the loop of a process with one thread; loop, log and support outlive it. Destroyed while
// the plane lives, it leaves it to find out by the end of the channel.
class PlaneProcess : private Timer {
 public:
  // `name`: "proxy", as the log names it; 9 bytes at most. ps shows it as "nines-proxy".
  PlaneProcess(std::string name, PlanePolicy policy, io::EpollLoop& loop, io::Log& log,
               PlaneSupport& support);
  ~PlaneProcess() override;
  PlaneProcess(const PlaneProcess&) = delete;
  PlaneProcess& operator=(const PlaneProcess&) = delete;

  Result<void> start();
  // kUnavailable when there is no plane.
  Result<void> send(const ChannelMessage& message);
  // The support has heard that the plane is at work.
  void served();
  // It is not started again. The plane ends by itself: because it was told to, or at once by
  // close_channel().
  void expect_end();
  void close_channel();
  // Kills a plane that has not ended within `patience`.
  void end(Duration patience);
  // Now; it is started again unless its end is expected.
  void kill();
  void set_back_within(Duration time) { watch_.set_back_within(time); }

  bool alive() const { return pid_ != 0; }
  pid_t pid() const { return pid_; }
  const PlaneWatch& watch() const { return watch_; }

 private:
  void on_timer(Instant now) override;
  void handle(const PlaneEvent& event);
  void perform(PlaneEffect effect);
  Result<void> spawn();
  void read_channel();
  void on_exit();

  std::string name_;
  io::EpollLoop& loop_;
  io::Log& log_;
  PlaneSupport& support_;
  PlaneWatch watch_;
  pid_t pid_ = 0;
  io::Descriptor channel_;
  io::Descriptor pid_descriptor_;
  io::EpollLoop::WatchId channel_watch_ = 0;
  io::EpollLoop::WatchId pid_watch_ = 0;
  std::optional<Instant> kill_at_;  // of end()
  Result<void> spawned_;            // of the last start
};

}  // namespace nines::node
