// The head, then the sessions that stand, then those that ended: family, address and port at either
// end.
#include "cluster/session_wire.h"

#include <utility>

namespace nines::cluster {
namespace {

using namespace wire;

using Address = std::array<std::uint8_t, 16>;

template <typename Walker>
void address(Walker& walker, Address& bytes, std::uint16_t& port, bool ipv6) {
  for (std::size_t i = 0; i < (ipv6 ? 16u : 4u); ++i) walker.number(bytes[i], 1, 0, 255);
  walker.number(port, 2, 1, 65535);
}

template <typename Walker>
void sessions(Walker& walker, std::vector<SessionTuple>& values, std::uint8_t count) {
  if constexpr (Walker::kReads) values.resize(walker.good() ? count : 0);
  for (SessionTuple& value : values) {
    std::uint8_t family = value.ipv6 ? 6 : 4;
    walker.number(family, 1, 4, 6);
    if constexpr (Walker::kReads) {
      if (!walker.good()) return;
      value = {};
      value.ipv6 = family == 6;
      if (family == 5) walker.fail(WireFault::kRange);
    }
    address(walker, value.local, value.local_port, value.ipv6);
    address(walker, value.peer, value.peer_port, value.ipv6);
    if constexpr (Walker::kReads) {
      if (!is_tellable(value)) walker.fail(WireFault::kRange);
    }
  }
}

template <typename Walker>
void walk(Walker& walker, SessionMessage& message) {
  whole(walker, message.name);
  walker.number(message.epoch, 8, 1, Ballot::ceiling(Ballot::kCounterMax).value);
  walker.number(message.round, 4, 1, UINT32_MAX);
  auto standing = static_cast<std::uint8_t>(message.standing.size());
  auto ended = static_cast<std::uint8_t>(message.ended.size());
  walker.number(standing, 1, 0, kSessionsInMessageMax);
  walker.number(ended, 1, 0, kSessionsInMessageMax);
  sessions(walker, message.standing, standing);
  sessions(walker, message.ended, ended);
}

}  // namespace

std::string encode_session_message(const SessionMessage& message) {
  CHECK(message.standing.size() <= kSessionsInMessageMax &&
        message.ended.size() <= kSessionsInMessageMax);
  Writer writer;
  writer.number(kNodeWireVersion, 1, 0, 255);
  writer.number(kSessionKind, 1, 0, 255);
  SessionMessage copy = message;  // walkers take what they might set
  walk(writer, copy);
  CHECK(writer.out.size() <= kSessionMessageMax);
  return std::move(writer.out);
}

WireFault parse_session_message(std::string_view bytes, SessionMessage& message) {
  Reader reader(bytes);
  std::uint8_t version = 0, kind = 0;
  reader.number(version, 1, 0, 255);
  if (reader.good() && version != kNodeWireVersion) return WireFault::kVersion;
  reader.number(kind, 1, 0, 255);
  if (reader.good() && kind != kSessionKind) return WireFault::kKind;
  walk(reader, message);
  return reader.finish();
}

}  // namespace nines::cluster
