// Hostile bytes as lease messages: no crash, and what is taken is written again as the very same
// bytes. What is taken is then told to a voter, who must stand it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "cluster/lease.h"
#include "cluster/lease_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nines;
  using namespace nines::cluster;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Message message;
  const WireFault fault = parse_lease_message(bytes, message);
  CHECK(!name_of(fault).empty());
  if (fault != WireFault::kNone) return 0;
  CHECK(encode_lease_message(message) == bytes);

  LeaseOptions options;
  options.self = 1;
  options.peers = {1, 2, 3};
  options.names = {{1, 0, true, 0ms}};
  auto machine = Lease::create(options, base::Rng(1));
  CHECK(machine.has_value());
  LeaseEffects effects;
  Instant now{1'000'000'000};
  lease_event::Start start;
  start.disk.emplace();
  start.disk->mark = 4096;
  start.disk->generation = {1, {1, 2, 3}, {}, 0};
  start.disk->longest_term = 120ms;
  machine->handle(start, now, effects);
  for (const NodeId from : {2, 3, 2}) {
    now = now + 150ms;
    machine->handle(lease_event::DiskWritten{static_cast<std::uint64_t>(from) - 1}, now, effects);
    machine->handle(lease_event::Heard{from, message}, now, effects);
    machine->handle(lease_event::TimerFired{}, now, effects);
  }
  for (const LeaseEffect& effect : effects) {
    if (const auto* const send = std::get_if<lease_effect::Send>(&effect)) {
      CHECK(encode_lease_message(send->message).size() <= kLeaseMessageMax);
    }
  }
  return 0;
}
