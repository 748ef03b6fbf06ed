// Taking: the gate, then the address, then the word, which no gate holds back. Letting go: sessions
// are ended while they can still be told, then the gate is shut, then the address goes.
#include "cluster/address_holder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "address/session_killer.h"

namespace nines::cluster {

namespace {

// The kernel's own reminder: an address whose owner is gone goes by itself, long after the gate.
constexpr std::chrono::seconds kLifetime{2};
constexpr Duration kRefreshEvery = std::chrono::milliseconds(500);
constexpr int kAnnouncements = 5;
// A switch or a client may have missed the first ones; and a client's own answer may be lost, when
// this host asks where it is.
constexpr std::array<Duration, 6> kAnnounceAgain = {5s, 1s, 300ms, 100ms, 30ms, 10ms};
constexpr Duration kComplaintSpacing = std::chrono::minutes(1);

}  // namespace

Name name_from(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char each : text) {
    hash = (hash ^ static_cast<unsigned char>(each)) * 0x100000001b3ull;
  }
  return hash == 0 ? 1 : hash;
}

AddressHolder::AddressHolder(std::vector<AddressGroup> groups,
                             address::InterfaceAddresses addresses,
                             address::InterfaceAddresses renewals, AddressGate& gate,
                             io::Loop& loop, Clock clock, io::Log& log, Changed changed)
    : addresses_(std::move(addresses)),
      renewals_(std::move(renewals)),
      gate_(gate),
      loop_(loop),
      clock_(std::move(clock)),
      log_(log),
      changed_(std::move(changed)) {
  for (std::size_t i = 0; i < groups.size(); ++i) {
    AddressGroup& group = groups[i];
    Held held;
    held.index = i;
    for (const auto& owned : group.addresses) held.plain.push_back(owned.address);
    const Name name = name_from(group.text);
    held.group = std::move(group);
    groups_.emplace(name, std::move(held));
  }
}

AddressHolder::~AddressHolder() {
  *alive_ = false;
  for (const auto& [name, held] : groups_) {
    if (held.held) let_go(name);
  }
}

void AddressHolder::hold(Name name, Epoch epoch, Instant until, bool) {
  const auto found = groups_.find(name);
  if (found == groups_.end()) return;
  Held& held = found->second;
  const auto opened = gate_.open_until(held.index, until);
  if (!opened.has_value()) {
    complain(opened);
    if (!held.held) return;  // with the next renewal
  }
  held.epoch = epoch;
  held.until = until;
  if (!held.held) put_on_interface(held);
  if (std::exchange(held.held, true)) return;
  announce(held, kAnnouncements);
  const Instant now = clock_();
  held.announce_at.clear();
  for (const Duration later : kAnnounceAgain) held.announce_at.push_back(now + later);
  arm_next();
  changed_(held.group, true, epoch);
}

void AddressHolder::let_go(Name name) {
  const auto found = groups_.find(name);
  if (found == groups_.end()) return;
  Held& held = found->second;
  if (held.held) end_sessions(held);
  complain(gate_.close(held.index));
  worker_.settle(held.index);
  for (const auto& owned : held.group.addresses) complain(addresses_.drop(owned));
  if (!std::exchange(held.held, false)) return;
  end_sessions(held);
  arm_next();
  changed_(held.group, false, held.epoch);
}

void AddressHolder::announce_all(int count) {
  for (const auto& [name, held] : groups_) {
    if (held.held) announce(held, count);
  }
}

void AddressHolder::address_removed(const SocketAddress& address) {
  for (auto& [name, held] : groups_) {
    if (!held.held ||
        std::find(held.plain.begin(), held.plain.end(), address.with_port(0)) == held.plain.end()) {
      continue;
    }
    log_.write(io::Severity::kWarning,
               "address " + address.ip_text() + " was taken away; taken again");
    put_on_interface(held);
    announce(held, kAnnouncements);
  }
}

bool AddressHolder::holds(Name name) const {
  const auto found = groups_.find(name);
  return found != groups_.end() && found->second.held;
}

void AddressHolder::on_timer(Instant now) {
  for (auto& [name, held] : groups_) {
    if (!held.held) continue;
    if (now >= held.refresh_at) renew_soon(held);
    while (!held.announce_at.empty() && now >= held.announce_at.back()) {
      held.announce_at.pop_back();
      announce(held, 1);
      ask_unheard(held);
    }
  }
  arm_next();
}

void AddressHolder::arm_next() {
  Instant next = Instant::max();
  for (const auto& [name, held] : groups_) {
    if (!held.held) continue;
    next = std::min(next, held.refresh_at);
    if (!held.announce_at.empty()) next = std::min(next, held.announce_at.back());
  }
  if (next == Instant::max()) return cancel();
  loop_.arm(*this, next);
}

// A lifetime that is not renewed in time ends: then the address is taken again, as if somebody had
// taken it away.
void AddressHolder::renew_soon(Held& held) {
  worker_.post(held.index, [this, owned = held.group.addresses] {
    for (const auto& each : owned) {
      auto taken = renewals_.take(each, kLifetime);
      if (taken.has_value()) continue;
      loop_.post([this, alive = alive_, failure = std::move(taken).error()] {
        if (*alive) complain(failure);
      });
    }
  });
  held.refresh_at = clock_() + kRefreshEvery;
}

void AddressHolder::put_on_interface(Held& held) {
  for (const auto& owned : held.group.addresses) {
    if (!held.held && owned.prefix_length < 32 &&
        owned.address.family() == SocketAddress::Family::kIpv4) {
      complain(address::InterfaceAddresses::promote_secondaries(owned.device));
    }
    complain(addresses_.take(owned, kLifetime));
  }
  held.refresh_at = clock_() + kRefreshEvery;
}

// No gate holds frames of ours back. A process that was stopped finds its timers due before it
// hears that the lease is over: what it would say then is another's to say.
void AddressHolder::announce(const Held& held, int count) {
  if (clock_() >= held.until) return;
  for (const auto& owned : held.group.addresses) complain(addresses_.announce(owned, count));
}

void AddressHolder::ask_unheard(const Held& held) {
  if (clock_() >= held.until) return;
  for (const auto& owned : held.group.addresses) {
    const auto asked = addresses_.ask_unheard(owned);
    if (!asked.has_value()) complain(asked.error());
  }
}

void AddressHolder::end_sessions(const Held& held) {
  for (const SocketAddress& address : held.plain) {
    const auto destroyed = address::destroy_sessions(address);
    if (!destroyed.has_value()) {
      complain(destroyed.error());
    } else if (!destroyed->empty()) {
      log_.write(io::Severity::kNotice, "ended " + std::to_string(destroyed->size()) +
                                            " session(s) on " + address.ip_text());
    }
  }
}

// One line a minute, whatever the kernel does.
void AddressHolder::complain(const Result<void>& result) {
  if (result.has_value()) return;
  const Instant now = clock_();
  if (complained_at_ != Instant{} && now - complained_at_ < kComplaintSpacing) return;
  complained_at_ = now;
  log_.write(io::Severity::kError, result.error().message());
}

}  // namespace nines::cluster
