// The simulated world that scenarios are written against: seeded time, hosts and the network
// between them. Everything runs on one thread, in an order that the seed alone decides.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "sim/core.h"
#include "sim/host.h"

namespace nines::sim {

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // `addresses`: IPs as text. The host lives as long as the world.
  Host& add_host(std::string name, const std::vector<std::string>& addresses);

  // Running. Time is true time; a host's own clocks are Host's.
  Instant now() const { return core_.now; }
  Duration elapsed() const { return core_.now - Core::kBegin; }
  bool step();  // one event; false: nothing is left to happen
  void run_for(Duration time);
  // Runs until the condition holds; false: it did not within `limit` of simulated time.
  bool run_until(const std::function<bool()>& condition, Duration limit);
  // The script of a scenario: runs `task` at that time, between events.
  void after(Duration delay, std::function<void()> task);

  // The network. Links go one way; hosts that were not told otherwise have the default one.
  void set_default_link(const Link& link);
  void set_link(Host& from, Host& to, const Link& link);
  void cut(Host& from, Host& to);   // one way: packets from `from` to `to` vanish, also those that
  void heal(Host& from, Host& to);  // are on their way
  void isolate(Host& host);         // both ways, from and to everybody
  void partition(const std::vector<Host*>& one, const std::vector<Host*>& other);
  void heal_all();

  // Chance for the scenario's own choices, from the same seed.
  base::Rng& rng() { return core_.rng; }
  std::uint64_t seed() const { return seed_; }

  // What happened, as a story: faults, connections' beginnings and violent ends, log lines.
  const std::deque<TraceLine>& trace() const { return core_.trace_lines; }
  std::string trace_text(std::size_t lines_max = SIZE_MAX) const;  // the last ones
  bool traced(std::string_view part) const;                        // does any line's text hold it?
  void note(std::string text);                                     // a line of the scenario's own
  // Equal for equal runs: of every event and every line of the trace.
  std::uint64_t fingerprint() const { return core_.fingerprint; }
  std::uint64_t events() const { return core_.events; }

 private:
  void set_cut(Host& from, Host& to, bool cut);

  std::uint64_t seed_;
  Core core_;
};

}  // namespace nines::sim
