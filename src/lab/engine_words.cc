// The log's lines by their shape: a day, a time, a severity, a controller, what became of it.
#include "lab/engine_words.h"

#include <algorithm>
#include <charconv>

namespace nines::lab {
namespace {

constexpr Duration kDay = std::chrono::hours(24);

std::string_view take_word(std::string_view& rest) {
  const auto space = std::min(rest.find(' '), rest.size());
  const auto word = rest.substr(0, space);
  rest.remove_prefix(std::min(space + 1, rest.size()));
  return word;
}

// "11:16:27.143".
std::optional<Duration> parse_time_of_day(std::string_view text) {
  constexpr std::string_view kShape = "00:00:00.000";
  if (text.size() != kShape.size()) return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t size) {
    int value = -1;
    const char* const end = text.data() + at + size;
    const auto parsed = std::from_chars(text.data() + at, end, value);
    return parsed.ptr == end ? value : -1;
  };
  const int hours = number(0, 2), minutes = number(3, 2), seconds = number(6, 2);
  const int millis = number(9, 3);
  if (text[2] != ':' || text[5] != ':' || text[8] != '.' || hours < 0 || hours > 23 ||
      minutes < 0 || minutes > 59 || seconds < 0 || seconds > 60 || millis < 0) {
    return std::nullopt;
  }
  return std::chrono::hours(hours) + std::chrono::minutes(minutes) + std::chrono::seconds(seconds) +
         std::chrono::milliseconds(millis);
}

}  // namespace

std::optional<PeerWord> parse_peer_word(std::string_view line) {
  take_word(line);  // the day
  const auto time = parse_time_of_day(take_word(line));
  if (!time) return std::nullopt;
  take_word(line);  // the severity
  PeerWord word{.peer = std::string(take_word(line)), .time_of_day = *time};
  if (line.starts_with("gets no new work")) {
    word.kind = PeerWord::Kind::kDoubted;
  } else if (line.starts_with("is called dead")) {
    word.kind = PeerWord::Kind::kDead;
  } else {
    return std::nullopt;
  }
  return word;
}

Instant instant_of(Duration time_of_day, Duration time_of_day_now, Instant now) {
  Duration ago = time_of_day_now - time_of_day;
  if (ago > kDay / 2) ago -= kDay;
  if (ago < -kDay / 2) ago += kDay;
  return now - ago;
}

}  // namespace nines::lab
