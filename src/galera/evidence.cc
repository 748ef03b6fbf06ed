// A key for each field; what is not set is not written.
#include "galera/evidence.h"

#include <algorithm>
#include <vector>

#include "text/units.h"

namespace nines::galera {

namespace {

constexpr std::string_view kFirstLine = "nines galera evidence 1";
constexpr std::string_view kLastLine = "end";
constexpr std::size_t kMemberMax = 64;

// One line, whatever it was.
std::string line_of(std::string_view text, std::size_t size_max = kFaultMax) {
  std::string out;
  for (const char c : text.substr(0, size_max)) out += c >= ' ' && c <= '~' ? c : ' ';
  while (!out.empty() && out.back() == ' ') out.pop_back();
  while (!out.empty() && out.front() == ' ') out.erase(out.begin());
  return out;
}

void add(std::string& out, std::string_view key, std::string_view value) {
  out.append(key).append(": ").append(value).append("\n");
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const auto space = text.find(' ');
    if (space != 0) words.push_back(text.substr(0, space));
    if (space == text.npos) break;
    text.remove_prefix(space + 1);
  }
  return words;
}

bool read_status(std::string_view value, Evidence& evidence) {
  const auto words = words_of(value);
  if (words.size() != 3) return false;
  const auto position = parse_position(words[0]);
  const auto size = text::parse_integer(words[1]);
  const auto state = text::parse_integer(words[2]);
  if (!position || !size || *size < 0 || *size > 1000 || !state || *state < 0 || *state > 4) {
    return false;
  }
  evidence.running = *position;
  evidence.component_size = static_cast<int>(*size);
  evidence.local_state = static_cast<LocalState>(*state);
  return true;
}

bool read_grastate(std::string_view value, Evidence& evidence) {
  const auto words = words_of(value);
  if (words.size() != 2 || (words[1] != "safe" && words[1] != "unsafe")) return false;
  const auto position = parse_position(words[0]);
  if (!position) return false;
  evidence.grastate = Grastate{*position, words[1] == "safe"};
  return true;
}

// "SELF UUID UUID ... view ID": as in the file, without its frame.
bool read_gvwstate(std::string_view value, Evidence& evidence) {
  constexpr std::string_view kMark = " view ";
  const auto at = value.find(kMark);
  if (at == value.npos) return false;
  Gvwstate state;
  state.view = value.substr(at + kMark.size());
  for (const std::string_view word : words_of(value.substr(0, at))) {
    const auto uuid = parse_uuid(word);
    if (!uuid || state.members.size() == kViewMembersMax) return false;
    if (state.self.empty()) {
      state.self = *uuid;
    } else {
      state.members.push_back(*uuid);
    }
  }
  if (state.view.empty() || !std::is_sorted(state.members.begin(), state.members.end()) ||
      !std::binary_search(state.members.begin(), state.members.end(), state.self)) {
    return false;
  }
  evidence.gvwstate = std::move(state);
  return true;
}

template <typename Kind>
bool read_name(std::string_view value, std::initializer_list<Kind> kinds, Kind& into) {
  for (const Kind kind : kinds) {
    if (name_of(kind) != value) continue;
    into = kind;
    return true;
  }
  return false;
}

bool read_field(std::string_view key, std::string_view value, Evidence& evidence) {
  using Server = Evidence::Server;
  using Data = Evidence::Data;
  if (value != line_of(value)) return false;
  if (key == "member") {
    evidence.member = value;
    return !value.empty() && value.size() <= kMemberMax && value.find(' ') == value.npos;
  }
  if (key == "server") {
    return read_name(value,
                     {Server::kDown, Server::kStarting, Server::kNonPrimary, Server::kPrimary},
                     evidence.server);
  }
  if (key == "data") return read_name(value, {Data::kPresent, Data::kEmpty}, evidence.data);
  if (key == "status") return read_status(value, evidence);
  if (key == "grastate") return read_grastate(value, evidence);
  if (key == "gvwstate") return read_gvwstate(value, evidence);
  if (key == "torn") return evidence.is_torn = value == "yes";
  if (key == "closed") return evidence.is_closed = value == "yes";
  if (key == "recovered") {
    const auto position = parse_position(value);
    evidence.recovered = position;
    return position.has_value();
  }
  std::string* const fault = key == "server-said"       ? &evidence.server_said
                             : key == "grastate-fault"  ? &evidence.grastate_fault
                             : key == "gvwstate-fault"  ? &evidence.gvwstate_fault
                             : key == "doubt"           ? &evidence.doubt
                             : key == "recovered-fault" ? &evidence.recovered_fault
                                                        : nullptr;
  if (fault == nullptr) return false;
  *fault = value;
  return !value.empty();
}

}  // namespace

std::string_view name_of(Evidence::Server server) {
  switch (server) {
    case Evidence::Server::kDown:
      return "down";
    case Evidence::Server::kStarting:
      return "starting";
    case Evidence::Server::kNonPrimary:
      return "non-primary";
    case Evidence::Server::kPrimary:
      return "primary";
  }
  return "";
}

std::string_view name_of(Evidence::Data data) {
  return data == Evidence::Data::kPresent ? "present" : "empty";
}

std::string render_evidence(const Evidence& evidence) {
  std::string out(kFirstLine);
  out += '\n';
  add(out, "member", evidence.member);
  add(out, "server", name_of(evidence.server));
  const auto add_fault = [&out](std::string_view key, std::string_view fault) {
    if (const std::string line = line_of(fault); !line.empty()) add(out, key, line);
  };
  add_fault("server-said", evidence.server_said);
  if (evidence.is_closed) add(out, "closed", "yes");
  if (evidence.server == Evidence::Server::kPrimary ||
      evidence.server == Evidence::Server::kNonPrimary) {
    add(out, "status",
        evidence.running.text() + ' ' + std::to_string(evidence.component_size) + ' ' +
            std::to_string(static_cast<int>(evidence.local_state)));
  }
  add(out, "data", name_of(evidence.data));
  if (const auto& grastate = evidence.grastate) {
    add(out, "grastate",
        grastate->position.text() + (grastate->safe_to_bootstrap ? " safe" : " unsafe"));
  }
  add_fault("grastate-fault", evidence.grastate_fault);
  if (const auto& gvwstate = evidence.gvwstate) {
    std::string value = gvwstate->self;
    for (const Uuid& uuid : gvwstate->members) value += ' ' + uuid;
    add(out, "gvwstate", value + " view " + gvwstate->view);
  }
  add_fault("gvwstate-fault", evidence.gvwstate_fault);
  if (evidence.is_torn) add(out, "torn", "yes");
  add_fault("doubt", evidence.doubt);
  if (evidence.recovered) add(out, "recovered", evidence.recovered->text());
  add_fault("recovered-fault", evidence.recovered_fault);
  out.append(kLastLine).append("\n");
  return out;
}

Result<Evidence> parse_evidence(std::string_view text) {
  Evidence evidence;
  std::vector<std::string_view> seen;
  bool begun = false;
  int number = 0;
  const auto bad = [&number](std::string_view what) {
    return Error(ErrorCode::kInvalid,
                 "evidence, line " + std::to_string(number) + ": " + std::string(what));
  };
  if (text.size() > kEvidenceMax) return bad("more than any evidence");
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    ++number;
    if (!begun) {
      begun = line == kFirstLine;
      continue;
    }
    if (line == kLastLine) {
      for (const std::string_view needed : {"member", "server", "data"}) {
        if (std::find(seen.begin(), seen.end(), needed) == seen.end()) {
          return bad("there is no '" + std::string(needed) + "'");
        }
      }
      const bool answers = evidence.server == Evidence::Server::kPrimary ||
                           evidence.server == Evidence::Server::kNonPrimary;
      const bool has_status = std::find(seen.begin(), seen.end(), "status") != seen.end();
      if (answers != has_status) return bad("its server and its status disagree");
      if (evidence.is_closed && evidence.server != Evidence::Server::kStarting) {
        return bad("only a server that starts is closed");
      }
      return evidence;
    }
    const auto colon = line.find(": ");
    const std::string_view key = line.substr(0, colon);
    if (colon == line.npos || std::find(seen.begin(), seen.end(), key) != seen.end() ||
        !read_field(key, line.substr(colon + 2), evidence)) {
      return bad("no field, an unknown one, a repeated one or one without a sense");
    }
    seen.push_back(key);
  }
  return bad(begun ? "it ends too early" : "no evidence of this version of nines is in it");
}

}  // namespace nines::galera
