// Where a member stands: the history it belongs to (a UUID that begins with each cluster) and the
// number of the last transaction of it that the member has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nines::galera {

// As Galera writes it: 36 characters, lower case. Empty: never set.
using Uuid = std::string;
inline constexpr std::string_view kUuidUndefined = "00000000-0000-0000-0000-000000000000";
inline constexpr std::int64_t kSeqnoUndefined = -1;

struct Position {
  Uuid uuid{kUuidUndefined};
  std::int64_t seqno = kSeqnoUndefined;  // -1 or more

  // One that can be compared with others of the same history.
  bool is_known() const { return uuid != kUuidUndefined && seqno >= 0; }
  std::string text() const { return uuid + ':' + std::to_string(seqno); }
  friend bool operator==(const Position&, const Position&) = default;
};

// In any case of letters; nothing before or behind.
std::optional<Uuid> parse_uuid(std::string_view text);
// "UUID:SEQNO", as wsrep_start_position has it; a seqno below -1 is none.
std::optional<Position> parse_position(std::string_view text);

}  // namespace nines::galera
