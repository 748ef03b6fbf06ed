// Scenarios' verbs, each a line in the trace.
#include "sim/world.h"

#include <algorithm>
#include <cstdio>

#include "base/check.h"

namespace nines::sim {

World::World(std::uint64_t seed) : seed_(seed), core_(seed) {}
World::~World() = default;

Host& World::add_host(std::string name, const std::vector<std::string>& addresses) {
  const int index = static_cast<int>(core_.hosts.size());
  core_.hosts.push_back(std::make_unique<Host>(core_, std::move(name), index, addresses));
  return *core_.hosts.back();
}

bool World::step() {
  core_.settle();
  const bool ran = core_.step();
  core_.refresh_clocks();
  return ran;
}

void World::run_for(Duration time) {
  run_until([] { return false; }, time);
}

bool World::run_until(const std::function<bool()>& condition, Duration limit) {
  const Instant end = core_.now + limit;
  core_.settle();
  bool holds = condition();
  while (!holds) {
    const auto next = core_.next_event();
    if (!next || *next > end) {
      core_.now = end;
      break;
    }
    core_.step();
    holds = condition();
  }
  core_.refresh_clocks();
  return holds || condition();
}

void World::after(Duration delay, std::function<void()> task) {
  core_.schedule_task(core_.now + delay, std::move(task));
}

void World::set_default_link(const Link& link) { core_.default_link = link; }

void World::set_link(Host& from, Host& to, const Link& link) {
  Core::Path& path = core_.path(from, to);
  path.link = link;
  path.own_link = true;
}

void World::set_cut(Host& from, Host& to, bool cut) {
  if (&from == &to) return;
  Core::Path& path = core_.path(from, to);
  if (path.cut == cut) return;
  path.cut = cut;
  core_.trace(from.name(), (cut ? "cut off towards " : "healed towards ") + to.name());
}

void World::cut(Host& from, Host& to) { set_cut(from, to, true); }
void World::heal(Host& from, Host& to) { set_cut(from, to, false); }

void World::isolate(Host& host) {
  for (auto& other : core_.hosts) {
    cut(host, *other);
    cut(*other, host);
  }
}

void World::partition(const std::vector<Host*>& one, const std::vector<Host*>& other) {
  for (Host* const a : one) {
    for (Host* const b : other) {
      cut(*a, *b);
      cut(*b, *a);
    }
  }
}

void World::heal_all() {
  for (auto& from : core_.hosts) {
    for (auto& to : core_.hosts) heal(*from, *to);
  }
}

std::string World::trace_text(std::size_t lines_max) const {
  const auto& lines = core_.trace_lines;
  std::string text;
  for (std::size_t i = lines.size() - std::min(lines_max, lines.size()); i < lines.size(); ++i) {
    const auto microseconds = (lines[i].at - Core::kBegin).count() / 1000;
    char time[32];
    std::snprintf(time, sizeof time, "%5lld.%06lld", static_cast<long long>(microseconds / 1000000),
                  static_cast<long long>(microseconds % 1000000));
    text += time;
    text += "  ";
    text += lines[i].where;
    text += ": ";
    text += lines[i].text;
    text += '\n';
  }
  return text;
}

bool World::traced(std::string_view part) const {
  return std::any_of(core_.trace_lines.begin(), core_.trace_lines.end(),
                     [&](const auto& line) { return line.text.find(part) != std::string::npos; });
}

void World::note(std::string text) { core_.trace("scenario", std::move(text)); }

}  // namespace nines::sim
