// UUIDs and positions as texts.
#include "galera/position.h"

#include "text/units.h"

namespace nines::galera {

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != kUuidUndefined.size()) return std::nullopt;
  Uuid uuid(text);
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    char& c = uuid[i];
    if (kUuidUndefined[i] == '-') {
      if (c != '-') return std::nullopt;
      continue;
    }
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
  }
  return uuid;
}

std::optional<Position> parse_position(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto uuid = parse_uuid(text.substr(0, colon));
  const auto seqno = text::parse_integer(text.substr(colon + 1));
  if (!uuid || !seqno || *seqno < kSeqnoUndefined) return std::nullopt;
  return Position{*uuid, *seqno};
}

}  // namespace nines::galera
