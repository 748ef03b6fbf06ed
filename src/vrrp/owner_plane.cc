// Everything that the next owner has to know is in options_ at the moment of its fork.
#include "vrrp/owner_plane.h"

#include <algorithm>
#include <utility>

#include "address/session_killer.h"
#include "vrrp/owned.h"
#include "vrrp/vrrp_service.h"

namespace nines::vrrp {

using node::ChannelMessage;

namespace {

constexpr Duration kBackWithinMin = std::chrono::milliseconds(100);
// The kernel has the addresses for at least a second after the last advert of a second.
constexpr Duration kBackWithinMax = std::chrono::seconds(1);
// A question may be a tenth of a second away when the plane falls silent.
constexpr Duration kAnswerWithin = std::chrono::milliseconds(500);
constexpr Duration kFoundSilentWithin = kAnswerWithin + std::chrono::milliseconds(100);
constexpr Duration kRemovalMargin = std::chrono::milliseconds(100);

}  // namespace

// The last advert is an interval older than the plane's silence at most, and a backup's skew can be
// next to nothing.
Duration back_within(const Config& config, OwnerRight right) {
  if (right == OwnerRight::kLease) return kBackWithinMin;
  Duration least = kBackWithinMax;
  for (const VrrpInstance& instance : config.instances) {
    const Duration patience = (instance.down_timer_adverts - 1) * instance.advert_int;
    least = std::min(least, patience - kFoundSilentWithin - kRemovalMargin);
  }
  return std::max(least, kBackWithinMin);
}

node::PlanePolicy OwnerPlane::policy(const Config& config, OwnerRight right) {
  node::PlanePolicy policy;
  policy.restart_delay_min = std::chrono::milliseconds(1);
  policy.answer_within = kAnswerWithin;
  policy.back_within = back_within(config, right);
  return policy;
}

Result<std::unique_ptr<OwnerPlane>> OwnerPlane::create(Config config, OwnerRight right, Load load,
                                                       MakeOwner make, io::EpollLoop& loop,
                                                       io::Log& log, OwnerObserver& observer) {
  TRY(check_against_host(config));
  return std::unique_ptr<OwnerPlane>(new OwnerPlane(
      std::move(config), right, std::move(load), std::move(make), loop, log,
      TRY(address::InterfaceAddresses::open()), TRY(address::Routing::open()), observer));
}

OwnerPlane::OwnerPlane(Config config, OwnerRight right, Load load, MakeOwner make,
                       io::EpollLoop& loop, io::Log& log, address::InterfaceAddresses addresses,
                       address::Routing routing, OwnerObserver& observer)
    : log_(log),
      observer_(observer),
      right_(right),
      addresses_(std::move(addresses)),
      routing_(std::move(routing)),
      options_{.config = std::move(config),
               .make = std::move(make),
               .reload = std::move(load),
               .proxy_fit = true,
               .predecessor = {}},
      requests_("owner", [this](const ChannelMessage& message) { return plane_.send(message); }),
      plane_("owner", policy(options_.config, right), loop, log, *this) {}

Result<void> OwnerPlane::start() { return plane_.start(); }

void OwnerPlane::set_proxy_fit(bool fit) {
  if (std::exchange(options_.proxy_fit, fit) == fit) return;
  log_.write(io::Severity::kNotice, fit ? "the proxy serves: addresses may be held"
                                        : "the proxy does not serve: addresses are given up");
  tell({fit ? ChannelMessage::Kind::kProxyFit : ChannelMessage::Kind::kProxyUnfit, "", {}});
}

void OwnerPlane::reload(Config config) {
  if (const auto checked = check_against_host(config); !checked.has_value()) {
    return observer_.on_owner_reload_ended(checked);
  }
  if (reloading_ || !serving()) {
    return observer_.on_owner_reload_ended(
        Error(ErrorCode::kUnavailable, "the owner is not ready to read its configuration again"));
  }
  // Rights that were given up do not come back: another process takes over as the master it was.
  if (runs_scripts(config) && !runs_scripts(options_.config)) {
    set_config(std::move(config));
    plane_.kill();
    return observer_.on_owner_reload_ended({});
  }
  reloading_ = std::move(config);
  tell({ChannelMessage::Kind::kReload, "", {}});
}

void OwnerPlane::release() {
  releasing_ = true;
  if (!plane_.alive()) {
    plane_.expect_end();
    remove_addresses();
    return observer_.on_owner_ended(true);
  }
  tell({ChannelMessage::Kind::kRelease, "", {}});
  plane_.end(kReleasePatience);
}

void OwnerPlane::ask(std::string_view request, node::PlaneRequests::Answered answered) {
  if (!serving()) {
    return answered(Error(ErrorCode::kUnavailable, "the owner is not at work yet"));
  }
  requests_.ask(request, std::move(answered));
}

std::vector<OwnerReport> OwnerPlane::reports() const {
  std::vector<OwnerReport> reports;
  for (const VrrpInstance& instance : options_.config.instances) {
    const auto found = reports_.find(instance.name);
    if (found != reports_.end()) reports.push_back(found->second);
  }
  return reports;
}

int OwnerPlane::run_plane() {
  options_.predecessor.seen_at = plane_.watch().seen_at();
  return run_owner_main(options_);
}

Result<void> OwnerPlane::on_plane_started() { return {}; }

void OwnerPlane::on_plane_message(ChannelMessage message) {
  switch (message.kind) {
    case ChannelMessage::Kind::kTaken:
      if (reloading_) {
        set_config(*std::exchange(reloading_, std::nullopt));
        return observer_.on_owner_reload_ended({});
      }
      plane_.served();
      if (!std::exchange(ever_served_, true)) observer_.on_owner_started();
      return;
    case ChannelMessage::Kind::kRefused:
      if (!std::exchange(reloading_, std::nullopt)) return;
      return observer_.on_owner_reload_ended(Error(ErrorCode::kInvalid, message.text));
    case ChannelMessage::Kind::kHoldings: {
      auto report = parse_owner_report(message.text);
      if (!report.has_value()) return log_.write(io::Severity::kError, report.error().message());
      observer_.on_owner_report(*report);
      const std::string name = report->instance;
      reports_.insert_or_assign(name, *std::move(report));
      return note_masters();
    }
    case ChannelMessage::Kind::kReply:
      if (const auto told = requests_.replied(message); !told.has_value()) {
        log_.write(io::Severity::kError, told.error().message());
      }
      return;
    case ChannelMessage::Kind::kShare: {
      const auto share = node::parse_host_share(message.text);
      if (!share.has_value()) return log_.write(io::Severity::kError, share.error().message());
      return observer_.on_owner_share(*share);
    }
    case ChannelMessage::Kind::kScheduling:
      scheduling_ = std::move(message.text);
      return;
    default:
      return;  // ours to say, not to hear
  }
}

// Called when an owner that was counted on no longer is, and when it is again.
void OwnerPlane::on_plane_fit(bool fit) {
  if (fit || releasing_) return;
  log_.write(io::Severity::kAlert, "the owner is not back in time: its addresses are removed");
  remove_addresses();
  // One that was forked to go on as master must not: another host may be master by then.
  if (!serving()) plane_.kill();
}

void OwnerPlane::on_plane_died(bool asked_for) {
  requests_.fail();
  observer_.on_owner_lost();
  if (std::exchange(reloading_, std::nullopt)) {
    observer_.on_owner_reload_ended(
        Error(ErrorCode::kReset, "the owner died while it read its configuration again"));
  }
  if (!asked_for && ever_served_) return;
  if (!asked_for) plane_.expect_end();
  remove_addresses();
  observer_.on_owner_ended(asked_for);
}

// What it left in the kernel, and what was accepted on it: behind a session may be a lock.
void OwnerPlane::remove_addresses() {
  for (const VrrpInstance& instance : options_.config.instances) {
    for (const address::OwnedAddress& owned : owned_by(instance)) {
      if (const auto dropped = addresses_.drop(owned); !dropped.has_value()) {
        log_.write(io::Severity::kError, dropped.error().message());
      }
      const auto destroyed = address::destroy_sessions(owned.address);
      if (!destroyed.has_value()) {
        log_.write(io::Severity::kError, destroyed.error().message());
      } else if (!destroyed->empty()) {
        log_.write(io::Severity::kNotice, "ended " + std::to_string(destroyed->size()) +
                                              " session(s) on " + owned.address.ip_text());
      }
    }
    drop_routing(routing_, routing_of(instance),
                 [this](const std::string& about) { log_.write(io::Severity::kError, about); });
  }
  reports_.clear();
  options_.predecessor.masters.clear();
}

void OwnerPlane::set_config(Config config) {
  options_.config = std::move(config);
  plane_.set_back_within(back_within(options_.config, right_));
}

void OwnerPlane::note_masters() {
  options_.predecessor.masters.clear();
  for (const auto& [name, report] : reports_) {
    if (report.state == State::kMaster) options_.predecessor.masters.insert(name);
  }
}

void OwnerPlane::tell(const ChannelMessage& message) {
  if (!plane_.alive()) return;  // the next one is forked with what it has to know
  if (const auto sent = plane_.send(message); !sent.has_value()) {
    log_.write(io::Severity::kError, sent.error().message());
  }
}

}  // namespace nines::vrrp
