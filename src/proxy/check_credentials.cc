// One pass over the lines. Complaints point at lines by their number alone.
#include "proxy/check_credentials.h"

#include <set>

namespace nines::proxy {
namespace {

constexpr std::string_view kKeys = "user, password, user_domain, project, project_domain";
constexpr std::string_view kBlanks = " \t";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

bool has_control_character(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

std::string* find_value(CheckCredentials& credentials, std::string_view key) {
  if (key == "user") return &credentials.user;
  if (key == "password") return &credentials.password;
  if (key == "user_domain") return &credentials.user_domain;
  if (key == "project") return &credentials.project;
  if (key == "project_domain") return &credentials.project_domain;
  return nullptr;
}

Error complaint(int line, std::string_view what) {
  return Error(ErrorCode::kInvalid, "line " + std::to_string(line) + ": " + std::string(what));
}

}  // namespace

Result<CheckCredentials> parse_credentials(std::string_view text) {
  if (text.size() > kCredentialFileMax) {
    return Error(ErrorCode::kInvalid,
                 "is larger than " + std::to_string(kCredentialFileMax) + " bytes");
  }
  CheckCredentials credentials;
  std::set<std::string_view> seen;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trimmed(line);
    if (line.empty() || line.front() == '#') continue;
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      return complaint(number, "is not of the form KEY = VALUE");
    }
    const std::string_view key = trimmed(line.substr(0, equals));
    const std::string_view value = trimmed(line.substr(equals + 1));
    std::string* const target = find_value(credentials, key);
    if (target == nullptr) {
      return complaint(number, "has an unknown key; allowed: " + std::string(kKeys));
    }
    if (!seen.insert(key).second) {
      return complaint(number, "says '" + std::string(key) + "' a second time");
    }
    if (value.empty()) return complaint(number, "'" + std::string(key) + "' has no value");
    if (value.size() > kCredentialMax) {
      return complaint(number,
                       "the value is longer than " + std::to_string(kCredentialMax) + " bytes");
    }
    if (has_control_character(value)) {
      return complaint(number, "a value has no control characters");
    }
    *target = value;
  }
  if (credentials.user.empty()) return Error(ErrorCode::kInvalid, "has no 'user = NAME'");
  if (credentials.password.empty()) return Error(ErrorCode::kInvalid, "has no 'password = WORD'");
  return credentials;
}

}  // namespace nines::proxy
