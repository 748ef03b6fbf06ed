// Hostile bytes as messages about sessions: what is taken is written again as the very same bytes,
// and a node that is told it several times stands it.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "cluster/session_keeper.h"
#include "cluster/session_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nines;
  using namespace nines::cluster;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  SessionMessage message;
  if (parse_session_message(bytes, message) != WireFault::kNone) return 0;
  if (size <= kSessionMessageMax) CHECK(encode_session_message(message) == bytes);
  const SocketAddress ours = SocketAddress::ipv4({10, 9, 0, 100}, 0);
  std::vector<SocketAddress> addresses = {ours};
  if (!message.standing.empty()) addresses.push_back(message.standing.front().local_address());
  SessionKeeper keeper({{message.name, addresses}});
  Instant now{100'000'000'000};
  std::vector<SessionTuple> nudges;
  for (const NodeId from : {2, 2, 3, 2}) {
    keeper.heard(from, message, now);
    message.round += message.round < UINT32_MAX ? 1u : 0u;
    now = now + 5s;
    keeper.pass(now, nudges);
    CHECK(nudges.empty());
  }
  keeper.taken(message.name, message.epoch + 1, now);
  for (int i = 0; i < 4; ++i) keeper.pass(now = now + 1s, nudges);
  CHECK(nudges.size() <= SessionKeeper::kNudgeTimes * message.standing.size());
  for (const SessionTuple& session : nudges) CHECK(is_tellable(session));
  return 0;
}
