// What each lease is open until is remembered here, so that a flushed guard is put back as it was.
#include "guard_gate.h"

#include <utility>

namespace nines {

GuardGate::GuardGate(address::Guard guard, std::vector<std::vector<SocketAddress>> groups,
                     io::Log& log)
    : guard_(std::move(guard)), log_(log) {
  for (auto& addresses : groups) leases_.push_back({std::move(addresses), Instant{}});
}

Result<void> GuardGate::open_until(std::size_t group, Instant end) {
  leases_[group].open_until = end;
  auto opened = guard_.open_until(group, end);
  if (opened.has_value() || opened.error().code() != ErrorCode::kNotFound) return opened;
  return put_back();
}

Result<void> GuardGate::close(std::size_t group) {
  leases_[group].open_until = Instant{};
  auto closed = guard_.close(group);
  if (closed.has_value() || closed.error().code() != ErrorCode::kNotFound) return closed;
  return put_back();
}

void GuardGate::on_monitor() {
  const auto disturbed = guard_.disturbed();
  if (disturbed.has_value() && !*disturbed) return;
  if (const auto put = put_back(); !put.has_value()) {
    log_.write(io::Severity::kAlert, "the guard: " + put.error().message());
  }
}

Result<void> GuardGate::put_back() {
  log_.write(io::Severity::kWarning, "somebody changed the guard's rules: they are put back");
  return install();
}

}  // namespace nines
