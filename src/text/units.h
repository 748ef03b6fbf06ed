// Numbers with units as configuration files write them: whole numbers, durations, sizes.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace nines::text {

// Decimal, an optional sign; nothing before or behind. kInvalid, or kExhausted beyond 64 bits.
Result<std::int64_t> parse_integer(std::string_view text);

// "10s", "500us", "1m", "2h", "1d", "250ms"; a bare number counts in `default_unit`. One number and
// one unit, no sign, no fraction. kInvalid, or kExhausted beyond 292 years.
Result<Duration> parse_duration(std::string_view text,
                                Duration default_unit = std::chrono::milliseconds(1));

// "16384", "16k", "1m", "1g": powers of 1024. kInvalid, or kExhausted beyond 64 bits.
Result<std::uint64_t> parse_size(std::string_view text);

}  // namespace nines::text
