// Lines of "key: value"; Galera ignores those that begin with '#', and so do we.
#include "galera/state_files.h"

#include <algorithm>
#include <optional>

#include "text/units.h"

namespace nines::galera {

namespace {

constexpr std::size_t kShownMax = 60;       // bytes of a bad line
constexpr std::size_t kComplaintMax = 300;  // bytes
constexpr std::size_t kLastWords = 300;     // bytes of a server's output that failed

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// What may be shown of bytes that anything may have written.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kShownMax)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}

  // Without blank ends; false after the last.
  bool next(std::string_view& line) {
    if (text_.empty()) return false;
    const auto end = text_.find('\n');
    line = trimmed(text_.substr(0, end));
    text_ = end == text_.npos ? std::string_view() : text_.substr(end + 1);
    ++number_;
    return true;
  }
  Error bad(std::string_view file, std::string_view line, std::string_view what) const {
    return {ErrorCode::kInvalid, std::string(file) + ':' + std::to_string(number_) + ": " +
                                     std::string(what) + ": '" + shown(line) + "'"};
  }

 private:
  std::string_view text_;
  int number_ = 0;
};

struct KeyValue {
  std::string_view key, value;
};
std::optional<KeyValue> split(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == line.npos) return std::nullopt;
  return KeyValue{trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1))};
}

Error too_large(std::string_view file) {
  return {ErrorCode::kInvalid, std::string(file) + ": larger than any such file"};
}

}  // namespace

Result<Grastate> parse_grastate(std::string_view text) {
  if (text.size() > kStateFileMax) return too_large(kGrastateName);
  Grastate grastate;
  bool has_uuid = false;
  Lines lines(text);
  for (std::string_view line; lines.next(line);) {
    if (line.empty() || line.front() == '#') continue;
    const auto pair = split(line);
    if (!pair) return lines.bad(kGrastateName, line, "no 'key: value'");
    if (pair->key == "version") {
      if (pair->value.empty() || (pair->value.front() != '1' && pair->value.front() != '2')) {
        return lines.bad(kGrastateName, line, "an unknown version");
      }
    } else if (pair->key == "uuid") {
      const auto uuid = parse_uuid(pair->value);
      if (!uuid) return lines.bad(kGrastateName, line, "no uuid");
      grastate.position.uuid = *uuid;
      has_uuid = true;
    } else if (pair->key == "seqno") {
      const auto seqno = text::parse_integer(pair->value);
      if (!seqno || *seqno < kSeqnoUndefined) return lines.bad(kGrastateName, line, "no seqno");
      grastate.position.seqno = *seqno;
    } else if (pair->key == "safe_to_bootstrap") {
      if (pair->value != "0" && pair->value != "1") {
        return lines.bad(kGrastateName, line, "neither 0 nor 1");
      }
      grastate.safe_to_bootstrap = pair->value == "1";
    }  // cert_index and what later versions add
  }
  if (!has_uuid) {
    return Error(ErrorCode::kInvalid, std::string(kGrastateName) + ": there is no uuid in it");
  }
  return grastate;
}

std::string render_grastate(const Grastate& grastate) {
  return "# GALERA saved state\nversion: 2.1\nuuid:    " + grastate.position.uuid +
         "\nseqno:   " + std::to_string(grastate.position.seqno) +
         "\nsafe_to_bootstrap: " + (grastate.safe_to_bootstrap ? "1" : "0") + '\n';
}

Result<Gvwstate> parse_gvwstate(std::string_view text) {
  if (text.size() > kStateFileMax) return too_large(kGvwstateName);
  Gvwstate state;
  bool begun = false, ended = false;
  Lines lines(text);
  for (std::string_view line; lines.next(line);) {
    if (line == "#vwbeg") {
      begun = true;
    } else if (line == "#vwend") {
      ended = begun;
    }
    if (line.empty() || line.front() == '#') continue;
    const auto pair = split(line);
    if (!pair) return lines.bad(kGvwstateName, line, "no 'key: value'");
    if (pair->key == "my_uuid") {
      const auto uuid = parse_uuid(pair->value);
      if (!uuid) return lines.bad(kGvwstateName, line, "no uuid");
      state.self = *uuid;
    } else if (pair->key == "view_id") {
      if (pair->value.size() > kShownMax || shown(pair->value) != pair->value) {
        return lines.bad(kGvwstateName, line, "no id of a view");
      }
      state.view = pair->value;
    } else if (pair->key == "member") {
      const auto uuid = parse_uuid(pair->value.substr(0, pair->value.find(' ')));
      if (!uuid) return lines.bad(kGvwstateName, line, "no member");
      if (state.members.size() == kViewMembersMax) {
        return lines.bad(kGvwstateName, line, "too many members");
      }
      state.members.push_back(*uuid);
    }  // bootstrap, segments
  }
  const auto broken = [](std::string_view what) {
    return Error(ErrorCode::kInvalid, std::string(kGvwstateName) + ": " + std::string(what));
  };
  if (!ended) return broken("it ends too early");
  if (state.self.empty() || state.view.empty()) return broken("no my_uuid or no view_id in it");
  std::sort(state.members.begin(), state.members.end());
  if (!std::binary_search(state.members.begin(), state.members.end(), state.self)) {
    return broken("its owner is no member of its view");
  }
  return state;
}

Result<Position> parse_recovered(std::string_view output) {
  constexpr std::string_view kMark = "Recovered position:";
  const auto at = output.rfind(kMark);
  if (at == output.npos) {
    const std::string_view last =
        output.substr(output.size() - std::min(output.size(), kLastWords));
    std::string words;
    for (const char c : last) words += c >= ' ' && c <= '~' ? c : ' ';
    return Error(ErrorCode::kNotFound,
                 "the server told no position; it ended with: " + std::string(trimmed(words)));
  }
  std::string_view rest = output.substr(at + kMark.size());
  rest = rest.substr(0, rest.find('\n'));
  rest = trimmed(rest);
  // Behind it there may be what a domain of GTIDs adds: "UUID:SEQNO,0-1-7".
  rest = rest.substr(0, rest.find_first_of(", \t"));
  const auto position = parse_position(rest);
  if (!position) {
    return Error(ErrorCode::kInvalid, "the server told no position but '" + shown(rest) + "'");
  }
  return *position;
}

std::string engine_complaint(std::string_view output) {
  constexpr std::string_view kMark = "[ERROR] InnoDB:";
  const auto at = output.find(kMark);
  if (at == output.npos) return "";
  std::string_view line = output.substr(at + kMark.size() - std::string_view("InnoDB:").size());
  line = line.substr(0, std::min(line.find('\n'), kComplaintMax));
  std::string words;
  for (const char c : line) words += c >= ' ' && c <= '~' ? c : ' ';
  return words;
}

}  // namespace nines::galera
