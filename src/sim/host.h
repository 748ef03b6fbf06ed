// A simulated machine and its processes: addresses, a clock that drifts, files, power; and what can
// happen to a process: it stops, it goes on, it dies.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/ports.h"
#include "sim/kernel.h"
#include "sim/packet.h"
#include "sim/sim_files.h"
#include "sim/sim_loop.h"
#include "sim/sim_processes.h"

namespace nines::sim {

class Core;
class Host;

// One process: threads are loops. Made by Host::start(), kept until the world ends: after its death
// whoever still holds its loop or streams may close them, in vain and safely.
class Process {
 public:
  Process(Core& core, Host& host, std::string name, int id);
  ~Process();

  SimLoop& loop() { return *loops_.front(); }  // its first thread
  SimLoop& add_loop();                         // another thread
  io::Log& log();                              // into the world's trace
  io::Files& files();                          // the host's
  SimProcesses& children() { return children_; }
  Host& host() { return host_; }
  const std::string& name() const { return name_; }
  int id() const { return id_; }

  // An object that lives and dies with the process. It is destroyed after the event in which the
  // process died, the last one made first.
  template <typename T, typename... Arguments>
  T& make(Arguments&&... arguments) {
    auto object = std::make_shared<T>(std::forward<Arguments>(arguments)...);
    T& made = *object;
    owned_.push_back(std::move(object));
    return made;
  }

  // SIGSTOP and SIGCONT: no handler and no timer runs meanwhile; the kernel goes on accepting into
  // the backlog and buffering.
  void pause();
  void resume();
  bool paused() const { return paused_; }
  // SIGKILL: no handler runs any more, and the kernel ends its sockets.
  void kill(Ending ending = Ending::kLikeLinux);
  bool alive() const { return alive_; }
  // RLIMIT_NOFILE, counting streams only.
  void set_streams_max(int limit) { descriptors_max_ = limit; }

  // For the loops and the world.
  std::string where() const;  // as the trace names it
  bool take_descriptor();
  void give_back_descriptor() { --descriptors_; }
  void reap();

 private:
  class TraceLog;

  Core& core_;
  Host& host_;
  std::string name_;
  int id_;
  bool alive_ = true;
  bool paused_ = false;
  int descriptors_ = 0;
  int descriptors_max_ = 1 << 20;
  std::unique_ptr<TraceLog> log_;
  SimProcesses children_;
  std::vector<std::unique_ptr<SimLoop>> loops_;
  std::vector<std::shared_ptr<void>> owned_;  // shared_ptr for its erased deleter alone
};

class Host {
 public:
  static constexpr Duration kSchedulingMin = 1us;  // from an event to the pass that sees it
  static constexpr Duration kSchedulingMax = 20us;

  Host(Core& core, std::string name, int index, const std::vector<std::string>& addresses);
  ~Host();

  Process& start(std::string name);
  std::vector<Process*> living() const;  // oldest first
  const std::string& name() const { return name_; }
  SimFiles& files() { return files_; }
  // What runs when a process here spawns `path`.
  void install(const std::string& path, Program program) { programs_[path] = std::move(program); }

  // Addresses, as text without a port. Adding announces: packets to it come here from now on, even
  // if another host has it too.
  void add_address(std::string_view ip);
  void remove_address(std::string_view ip);
  bool has_address(std::string_view ip) const;
  SocketAddress address(std::uint16_t port) const;  // the first one, with a port

  // Clocks. Each host's monotonic clock begins somewhere else, so that nobody compares them.
  void set_drift(double parts_per_million);  // of both clocks against true time
  void step_wall_clock(Duration by);
  Instant local_time() const;
  WallTime wall_time() const;

  void pause();   // every process
  void resume();  // every process
  // Packets to it vanish, its processes and connections are gone without a word, and of its files
  // remains what SimFiles::power_cut() says.
  void power_cut();
  // An empty kernel, no process, the addresses it was made with.
  void power_on();
  bool powered() const { return powered_; }
  // Bytes that each new connection's kernel buffers hold. Small ones bring backpressure soon.
  void set_buffers(std::size_t send, std::size_t receive) { kernel_.set_buffers(send, receive); }
  void set_scheduling_delay(Duration least, Duration most);

  // For the simulated kernel and the world.
  Kernel& kernel() { return kernel_; }
  int index() const { return index_; }
  bool has(const Endpoint& endpoint) const;
  std::optional<Endpoint> first_address(SocketAddress::Family family) const;
  Instant true_time(Instant local) const;  // the first true instant that is not before `local`
  Duration scheduling_delay();
  void forget_processes();
  const Program* find_program(const std::string& path) const;

 private:
  Core& core_;
  std::string name_;
  int index_;
  std::vector<std::string> boot_addresses_;
  std::vector<Endpoint> addresses_;
  bool powered_ = true;
  // local = local_base_ + (true - true_base_) * (1 + drift_ / 1e9); a change of drift moves both.
  Instant local_base_, true_base_;
  std::int64_t drift_ = 0;  // parts per billion
  Duration wall_offset_{};  // wall = kWallBegin + (local - boot) + offset
  Instant boot_;
  Duration scheduling_min_ = kSchedulingMin, scheduling_max_ = kSchedulingMax;
  SimFiles files_;
  std::map<std::string, Program> programs_;
  Kernel kernel_;
  std::vector<std::unique_ptr<Process>> processes_;  // dead ones too
};

}  // namespace nines::sim
