// std::from_chars does the digits; only the unit is ours.
#include "text/units.h"

#include <charconv>
#include <string>

#include "text/utf8.h"

namespace nines::text {
namespace {

struct NumberAndUnit {
  std::uint64_t number;
  std::string_view unit;
};

Result<NumberAndUnit> split(std::string_view text, std::string_view what) {
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc::result_out_of_range) {
    return Error(ErrorCode::kExhausted, std::string(what) + " is too large");
  }
  if (code != std::errc{}) {
    return Error(ErrorCode::kInvalid, std::string(what) + " starts with digits");
  }
  return NumberAndUnit{number, text.substr(static_cast<std::size_t>(end - text.data()))};
}

}  // namespace

Result<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t number = 0;
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  const char* begin = text.data() + (plus ? 1 : 0);
  const auto [end, code] = std::from_chars(begin, text.data() + text.size(), number);
  if (code == std::errc::result_out_of_range) {
    return Error(ErrorCode::kExhausted, "the number is too large");
  }
  if (code != std::errc{} || end != text.data() + text.size()) {
    return Error(ErrorCode::kInvalid, "a whole number is wanted");
  }
  return number;
}

Result<Duration> parse_duration(std::string_view text, Duration default_unit) {
  const NumberAndUnit parts = TRY(split(text, "a duration"));
  Duration unit{};
  if (parts.unit.empty()) {
    unit = default_unit;
  } else if (parts.unit == "us") {
    unit = std::chrono::microseconds(1);
  } else if (parts.unit == "ms") {
    unit = std::chrono::milliseconds(1);
  } else if (parts.unit == "s") {
    unit = std::chrono::seconds(1);
  } else if (parts.unit == "m") {
    unit = std::chrono::minutes(1);
  } else if (parts.unit == "h") {
    unit = std::chrono::hours(1);
  } else if (parts.unit == "d") {
    unit = std::chrono::hours(24);
  } else {
    return Error(ErrorCode::kInvalid, "unknown unit of time '" + printable(parts.unit) + "'");
  }
  const auto per_unit = static_cast<std::uint64_t>(unit.count());
  if (per_unit != 0 && parts.number > static_cast<std::uint64_t>(INT64_MAX) / per_unit) {
    return Error(ErrorCode::kExhausted, "a duration is too large");
  }
  return Duration(static_cast<std::int64_t>(parts.number * per_unit));
}

Result<std::uint64_t> parse_size(std::string_view text) {
  const NumberAndUnit parts = TRY(split(text, "a size"));
  int shift = 0;
  if (parts.unit.empty()) {
    shift = 0;
  } else if (parts.unit == "k" || parts.unit == "K") {
    shift = 10;
  } else if (parts.unit == "m" || parts.unit == "M") {
    shift = 20;
  } else if (parts.unit == "g" || parts.unit == "G") {
    shift = 30;
  } else {
    return Error(ErrorCode::kInvalid, "unknown unit of size '" + printable(parts.unit) + "'");
  }
  if (parts.number > (UINT64_MAX >> shift)) {
    return Error(ErrorCode::kExhausted, "a size is too large");
  }
  return parts.number << shift;
}

}  // namespace nines::text
