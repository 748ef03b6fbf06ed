// A script tells from within its own callback; what follows of it waits for the loop.
#include "owner_tracks.h"

#include <algorithm>
#include <set>
#include <utility>

#include "vrrp/vrrp_service.h"

namespace nines {

OwnerTracks::OwnerTracks(io::EpollLoop& loop, io::LinuxProcesses& processes, io::Netlink netlink,
                         io::Log& log, std::function<void()> changed)
    : loop_(loop),
      processes_(processes),
      netlink_(std::move(netlink)),
      log_(log),
      changed_(std::move(changed)) {}

OwnerTracks::~OwnerTracks() { *alive_ = false; }

void OwnerTracks::load(const vrrp::Config& config) {
  std::set<std::string> tracked;
  for (const vrrp::VrrpInstance& instance : config.instances) {
    for (const vrrp::Track& track : instance.track_scripts) tracked.insert(track.name);
  }
  scripts_.clear();
  for (const vrrp::VrrpScript& script : config.scripts) {
    if (!tracked.contains(script.name)) continue;
    auto arguments = vrrp::resolve_command(script.command, config.global);
    if (!arguments.has_value()) {
      log_.write(io::Severity::kError,
                 "script " + script.name + " is left out: " + arguments.error().message());
      continue;
    }
    const auto state = script.init_fail ? vrrp::ScriptState::kFailed : vrrp::ScriptState::kUnknown;
    auto runner = std::make_unique<vrrp::ScriptRunner>(script, state, *std::move(arguments), loop_,
                                                       processes_, log_, [this] {
                                                         loop_.post([this, alive = alive_] {
                                                           if (*alive) changed_();
                                                         });
                                                       });
    vrrp::ScriptRunner& started = *runner;
    scripts_.emplace(script.name, Script{script, std::move(runner)});
    started.start();
  }
}

Result<void> OwnerTracks::look() {
  links_ = TRY(netlink_.links());
  return {};
}

bool OwnerTracks::concerns(const vrrp::Config& config, const io::NetworkLink& link) const {
  const auto before = std::find_if(links_.begin(), links_.end(), [&](const io::NetworkLink& each) {
    return each.index == link.index;
  });
  const auto is_it = [&](const std::string& name) {
    return name == link.name || (before != links_.end() && name == before->name);
  };
  return std::any_of(
      config.instances.begin(), config.instances.end(), [&](const vrrp::VrrpInstance& instance) {
        const auto owned = vrrp::owned_by(instance);
        return is_it(instance.interface) ||
               std::any_of(owned.begin(), owned.end(),
                           [&](const auto& each) { return is_it(each.device); }) ||
               std::any_of(instance.track_interfaces.begin(), instance.track_interfaces.end(),
                           [&](const vrrp::Track& track) { return is_it(track.name); });
      });
}

bool OwnerTracks::running(const std::string& name) const {
  return std::any_of(links_.begin(), links_.end(), [&](const io::NetworkLink& link) {
    return link.name == name && link.up && link.running;
  });
}

bool OwnerTracks::fit(const vrrp::VrrpInstance& instance) const {
  vrrp::TrackSum sum;
  if (!running(instance.interface)) ++sum.faults;
  for (const vrrp::Track& track : instance.track_interfaces) {
    sum.add(running(track.name) ? vrrp::ScriptState::kGood : vrrp::ScriptState::kFailed,
            track.weight, track.reverse);
  }
  for (const vrrp::Track& track : instance.track_scripts) {
    const auto found = scripts_.find(track.name);
    if (found == scripts_.end()) continue;  // it cannot be run; the log has said so
    sum.add(found->second.runner->state(), track.weight, track.reverse);
  }
  return sum.faults == 0 && sum.known;
}

}  // namespace nines
