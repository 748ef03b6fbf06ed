// The engine under sim::World: one queue of events ordered by time and then by birth, the links
// between hosts, the routes to addresses, pools and the trace. Tests use world.h; this is for the
// simulated kernels and loops.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "sim/packet.h"

namespace nines::sim {

class Host;
class Process;
class SimLoop;
class Tcp;

// One direction between two hosts.
struct Link {
  Duration latency_min = 50us;
  Duration latency_max = 150us;
  double loss = 0;         // chance in [0, 1] that a packet vanishes
  double duplication = 0;  // chance in [0, 1] that a datagram comes twice
};

struct TraceLine {
  Instant at;         // true time
  std::string where;  // "host" or "host/process"
  std::string text;
};

class Core {
 public:
  static constexpr Instant kBegin{1'000'000'000};         // not zero, which means "never set"
  static constexpr std::size_t kTraceLinesMax = 100'000;  // older ones are forgotten
  static constexpr Duration kLoopbackMin = 5us;
  static constexpr Duration kLoopbackMax = 15us;

  explicit Core(std::uint64_t seed);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Events.
  enum class Kind : std::uint8_t { kPacket, kSocket, kPass, kTimer, kTask };
  void schedule(Instant at, Kind kind, void* target, std::uint32_t tag = 0);
  void schedule_task(Instant at, std::function<void()> task);
  bool step();  // false: nothing is left to happen
  std::optional<Instant> next_event() const;
  bool stepping() const { return stepping_; }
  void reap_later(Process& process);  // frees what it owned, not under its own feet
  // Timers may have been armed from outside of a pass: let every loop look at its wheel.
  void settle();
  void refresh_clocks();

  // Packets. What is transmitted belongs to the network.
  Packet* new_packet();
  void release(Packet* packet);
  // False when no host is there to take it; it is released all the same.
  bool transmit(Host& from, Packet* packet);
  Host* route(Host& from, const Endpoint& to);

  // Links and addresses. An address may have several claimants: the latest to announce it that the
  // sender can reach gets the packet, as gratuitous ARP has it.
  struct Path {
    Link link;
    bool own_link = false;  // set apart from the world's default
    bool cut = false;
    Instant stream_front{};  // stream packets of a path do not overtake each other
  };
  Path& path(const Host& from, const Host& to);
  void announce(const Endpoint& ip, Host& host);
  void withdraw(const Endpoint& ip, Host& host);

  // Sockets are recycled; each life has its generation.
  Tcp* new_tcp();
  void free_tcp(Tcp* tcp);

  void trace(std::string where, std::string text);

  Instant now = kBegin;
  base::Rng rng;
  Link default_link;
  std::vector<std::unique_ptr<Host>> hosts;
  std::vector<SimLoop*> loops;
  std::deque<TraceLine> trace_lines;
  std::uint64_t events = 0;
  std::uint64_t fingerprint = 0xcbf29ce484222325ull;  // of every event and every line of the trace
  std::uint64_t connections = 0;
  int process_ids = 1000;

 private:
  struct Event {
    Instant at;
    std::uint64_t order;
    void* target;
    std::uint32_t tag;
    Kind kind;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at != b.at ? a.at > b.at : a.order > b.order;
    }
  };
  void arrive(Packet* packet);
  void deliver_after(Path& path, Packet* packet, bool in_order, Duration least, Duration most);
  void fold(std::uint64_t value) { fingerprint = (fingerprint ^ value) * 0x100000001b3ull; }

  std::vector<Event> queue_;  // a heap
  std::uint64_t next_order_ = 0;
  bool stepping_ = false;
  std::vector<std::function<void()>> tasks_;
  std::vector<std::uint32_t> free_tasks_;
  std::vector<Process*> doomed_;
  std::vector<std::unique_ptr<Packet>> packets_;
  std::vector<Packet*> free_packets_;
  std::vector<std::unique_ptr<Tcp>> tcps_;
  std::vector<Tcp*> free_tcps_;
  std::vector<std::vector<std::unique_ptr<Path>>> paths_;                     // [from][to]
  std::unordered_map<Endpoint, std::vector<Host*>, EndpointHash> claimants_;  // latest last
};

}  // namespace nines::sim
