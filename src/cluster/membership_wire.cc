// A heartbeat's fields, in one list.
#include "cluster/membership_wire.h"

#include <utility>

namespace nines::cluster {
namespace {

using namespace wire;

template <typename Walker>
void walk(Walker& walker, Heartbeat& heartbeat) {
  whole(walker, heartbeat.incarnation);
  whole(walker, heartbeat.sequence);
  instant(walker, heartbeat.sent_at);
  whole(walker, heartbeat.echo_sequence);
  whole(walker, heartbeat.echo_incarnation);
  instant(walker, heartbeat.echo_sent_at);
  time(walker, heartbeat.echo_held, 0);
  choice(walker, heartbeat.standing, Standing::kLeaving);
  walker.number(heartbeat.strain, 1, 0, Membership::kStrainMax);
  nodes(walker, heartbeat.hears);
  nodes(walker, heartbeat.suspects);
}

}  // namespace

std::string encode_heartbeat(const Heartbeat& heartbeat) {
  Writer writer;
  writer.number(kNodeWireVersion, 1, 0, 255);
  writer.number(kHeartbeatKind, 1, 0, 255);
  Heartbeat copy = heartbeat;  // walkers take what they might set
  walk(writer, copy);
  CHECK(writer.out.size() == kHeartbeatSize);
  return std::move(writer.out);
}

WireFault parse_heartbeat(std::string_view bytes, Heartbeat& heartbeat) {
  Reader reader(bytes);
  std::uint8_t version = 0, kind = 0;
  reader.number(version, 1, 0, 255);
  if (reader.good() && version != kNodeWireVersion) return WireFault::kVersion;
  reader.number(kind, 1, 0, 255);
  if (reader.good() && kind != kHeartbeatKind) return WireFault::kKind;
  walk(reader, heartbeat);
  return reader.finish();
}

}  // namespace nines::cluster
