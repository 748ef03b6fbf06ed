// Hostile bytes as heartbeats: what is taken is written again as the very same bytes, and a node
// that is told it several times stands it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "cluster/membership_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nines;
  using namespace nines::cluster;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Heartbeat heartbeat;
  if (parse_heartbeat(bytes, heartbeat) != WireFault::kNone) return 0;
  CHECK(encode_heartbeat(heartbeat) == bytes);
  MembershipOptions options;
  options.self = 1;
  options.peers = {2, 3};
  auto node = Membership::create(options);
  CHECK(node.has_value());
  MembershipEffects effects;
  Instant now{100'000'000'000};
  node->handle(membership_event::Start{heartbeat.echo_incarnation | 1}, now, effects);
  for (const NodeId from : {2, 3, 2, 2}) {
    now = now + 25ms;
    node->handle(membership_event::Heard{from, 0, heartbeat}, now, effects);
    heartbeat.sequence += 1u + heartbeat.strain;
    node->handle(membership_event::TimerFired{}, now + 1ms, effects);
    CHECK(node->status(now + 1ms).size() == 2);
  }
  for (const auto& effect : effects) {
    if (const auto* const send = std::get_if<membership_effect::Send>(&effect)) {
      CHECK(encode_heartbeat(send->heartbeat).size() == kHeartbeatSize);
    }
  }
  return 0;
}
