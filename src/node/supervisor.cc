// The owner begins only once the proxy serves: an address is worth nothing before.
#include "node/supervisor.h"

namespace nines::node {

using Kind = SupervisorEffect::Kind;

void Supervisor::handle(const SupervisorEvent& event, Instant now, Effects& out) {
  std::visit([&](const auto& one) { on(one, now, out); }, event);
}

void Supervisor::on(const event::Start&, Instant, Effects& out) {
  proxy_lives_ = plan_.proxy;
  owner_lives_ = plan_.owner && !plan_.proxy;
  if (!plan_.proxy && !plan_.owner) {
    stage_ = Stage::kRunning;
    out.push_back({.kind = Kind::kReady});
    return;
  }
  out.push_back({.kind = plan_.proxy ? Kind::kStartProxy : Kind::kStartOwner});
}

void Supervisor::on(const event::ProxyStarted&, Instant, Effects& out) {
  if (stage_ != Stage::kStarting) return;
  if (plan_.owner) {
    owner_lives_ = true;
    out.push_back({.kind = Kind::kStartOwner});
    return;
  }
  stage_ = Stage::kRunning;
  out.push_back({.kind = Kind::kReady});
}

void Supervisor::on(const event::OwnerStarted&, Instant, Effects& out) {
  if (stage_ != Stage::kStarting) return;
  stage_ = Stage::kRunning;
  out.push_back({.kind = Kind::kReady});
}

void Supervisor::on(const event::ProxyFit& event, Instant, Effects& out) {
  // On the way out the proxy ends because it is told to, and the addresses go by another road.
  if (!owner_lives_ || (stage_ != Stage::kRunning && stage_ != Stage::kStarting)) return;
  out.push_back({.kind = Kind::kTellOwner, .fit = event.fit});
}

void Supervisor::on(const event::ProxyDrained&, Instant now, Effects& out) {
  if (stage_ == Stage::kDraining) release(now, out);
}

void Supervisor::on(const event::StopAsked& event, Instant now, Effects& out) {
  const bool again = stage_ != Stage::kStarting && stage_ != Stage::kRunning;
  in_a_hurry_ = in_a_hurry_ || event.at_once || again;
  if (!again) {
    out.push_back({.kind = Kind::kStopping});
    const bool answers_under_way = stage_ == Stage::kRunning && plan_.proxy && plan_.owner;
    if (!answers_under_way || in_a_hurry_ || plan_.drain <= Duration{}) return release(now, out);
    stage_ = Stage::kDraining;
    deadline_ = now + plan_.drain;
    out.push_back({.kind = Kind::kDrainProxy});
    return;
  }
  if (stage_ == Stage::kDraining) return release(now, out);
  if (stage_ == Stage::kStopping) stop_proxy_hard(out);
}

void Supervisor::on(const event::OwnerEnded& event, Instant now, Effects& out) {
  owner_lives_ = false;
  if (stage_ == Stage::kReleasing) return stop_proxy(now, out);
  if (event.good) return;
  code_ = kRunExitBad;
  in_a_hurry_ = true;
  stop_proxy(now, out);
}

void Supervisor::on(const event::ProxyEnded& event, Instant now, Effects& out) {
  proxy_lives_ = false;
  if (!event.good) {
    code_ = kRunExitBad;
    if (stage_ == Stage::kStarting || stage_ == Stage::kRunning) return release(now, out);
  }
  if (stage_ == Stage::kStopping) end(out);
}

void Supervisor::on(const event::SupervisorTimer&, Instant now, Effects& out) {
  if (!deadline_ || now < *deadline_) return;
  deadline_.reset();
  if (stage_ == Stage::kDraining) {
    out.push_back({.kind = Kind::kEndDrain});
    return release(now, out);
  }
  if (stage_ == Stage::kStopping) stop_proxy_hard(out);
}

void Supervisor::release(Instant now, Effects& out) {
  deadline_.reset();
  if (!owner_lives_) return stop_proxy(now, out);
  stage_ = Stage::kReleasing;
  out.push_back({.kind = Kind::kReleaseOwner});
}

void Supervisor::stop_proxy(Instant now, Effects& out) {
  stage_ = Stage::kStopping;
  deadline_.reset();
  if (!proxy_lives_) return end(out);
  if (in_a_hurry_) return stop_proxy_hard(out);
  deadline_ = now + plan_.soft_stop;
  out.push_back({.kind = Kind::kStopProxySoftly});
}

void Supervisor::stop_proxy_hard(Effects& out) {
  deadline_.reset();
  if (proxy_lives_) out.push_back({.kind = Kind::kStopProxyHard});
}

void Supervisor::end(Effects& out) {
  stage_ = Stage::kEnded;
  deadline_.reset();
  out.push_back({.kind = Kind::kExit, .code = code_});
}

}  // namespace nines::node
