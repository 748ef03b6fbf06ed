// What our own engine says of other controllers in its log, with the time of day it gives. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace nines::lab {

struct PeerWord {
  enum class Kind : std::uint8_t {
    kDoubted,  // it gets no new work
    kDead,     // the verdict, before anything came of it
  };
  Kind kind = Kind::kDoubted;
  std::string peer;
  Duration time_of_day{};  // local, to the millisecond

  friend bool operator==(const PeerWord&, const PeerWord&) = default;
};

// "2026-11-21 11:16:27.143 notice node03 gets no new work evidence=..."; nothing for other lines.
std::optional<PeerWord> parse_peer_word(std::string_view line);

// The instant of a time of day that was at most half a day ago, or ahead.
Instant instant_of(Duration time_of_day, Duration time_of_day_now, Instant now);

}  // namespace nines::lab
