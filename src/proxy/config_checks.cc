// Health checks: "option httpchk", "http-check", "option mysql-check", section 4.2.
#include <array>

#include <regex.h>

#include "proxy/config_draft.h"
#include "text/units.h"

namespace nines::proxy {
namespace {

constexpr int kStatusMin = 100;
constexpr int kStatusMax = 999;
constexpr std::size_t kRangesMax = 64;

constexpr std::string_view kCrLf = "\r\n";

// HAProxy's old trick: header fields behind the version, as in "HTTP/1.1\r\nHost:\ api".
void take_fields_behind_version(CheckConfig& check, std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(kCrLf), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + kCrLf.size(), text.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) continue;
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    check.headers.emplace_back(std::string(line.substr(0, colon)), std::string(value));
  }
}

bool is_printable_ascii(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c >= 0x7F) return false;
  }
  return !text.empty();
}

bool set_version(CheckConfig& check, Statement& statement, const Word& word) {
  const std::size_t end = std::min(word.text.find(kCrLf), word.text.size());
  const std::string_view version = std::string_view(word.text).substr(0, end);
  if (version != "HTTP/1.0" && version != "HTTP/1.1") {
    statement.error(word, "a check speaks HTTP/1.0 or HTTP/1.1 in nines")
        .with_allowed("HTTP/1.0, HTTP/1.1");
    return false;
  }
  check.version = version;
  if (end < word.text.size()) {
    statement.warning(word, "header fields hidden behind the version are deprecated")
        .with_help("write 'http-check send hdr NAME VALUE'");
    take_fields_behind_version(check, std::string_view(word.text).substr(end + kCrLf.size()));
  }
  return true;
}

bool set_uri(CheckConfig& check, Statement& statement, const Word& word) {
  if (!is_printable_ascii(word.text)) {
    statement.error(word, "a check's URI has no spaces and only ASCII");
    return false;
  }
  check.uri = word.text;
  return true;
}

bool set_method(CheckConfig& check, Statement& statement, const Word& word) {
  if (!is_printable_ascii(word.text)) {
    statement.error(word, "this is not a method").with_allowed("OPTIONS, GET, HEAD and the like");
    return false;
  }
  check.method = word.text;
  return true;
}

// "http-check send [meth M] [uri U] [ver V] [hdr NAME VALUE]*"
void http_check_send(ProxyDraft& draft, Statement& statement) {
  CheckConfig check = draft.config.check;
  check.headers.clear();
  while (const Word* word = statement.take()) {
    const Word* value = nullptr;
    if (word->text == "meth") {
      value = statement.take_word("a method behind 'meth'");
      if (value == nullptr || !set_method(check, statement, *value)) return;
    } else if (word->text == "uri") {
      value = statement.take_word("a URI behind 'uri'");
      if (value == nullptr || !set_uri(check, statement, *value)) return;
    } else if (word->text == "ver") {
      value = statement.take_word("a version behind 'ver'");
      if (value == nullptr || !set_version(check, statement, *value)) return;
    } else if (word->text == "hdr") {
      const Word* name = statement.take_word("a name and a value behind 'hdr'");
      value = name == nullptr ? nullptr : statement.take_word("a name and a value behind 'hdr'");
      if (value == nullptr) return;
      if (value->text.find('%') != std::string::npos) {
        statement.error(*value, "variables in a check's header are not supported by nines");
        return;
      }
      check.headers.emplace_back(name->text, value->text);
    } else if (word->text == "comment") {
      if (statement.take_word("a text behind 'comment'") == nullptr) return;
    } else if (word->text == "body" || word->text == "body-lf" || word->text == "uri-lf") {
      statement
          .error(*word, "'http-check send " + word->text + "' is known but not supported by nines")
          .with_allowed("meth, uri, ver, hdr");
      return;
    } else {
      text::Diagnostic& diagnostic =
          statement.error(*word, "unknown argument of 'http-check send'");
      diagnostic.with_allowed("meth METHOD, uri URI, ver VERSION, hdr NAME VALUE, comment TEXT");
      return;
    }
  }
  draft.config.check = std::move(check);
}

// "200", "200-299", "200,204,300-399"
std::optional<std::vector<CheckConfig::StatusRange>> parse_statuses(Statement& statement,
                                                                    const Word& word) {
  std::vector<CheckConfig::StatusRange> ranges;
  std::size_t begin = 0;
  while (begin <= word.text.size()) {
    const std::size_t end = std::min(word.text.find(',', begin), word.text.size());
    const std::string_view item = std::string_view(word.text).substr(begin, end - begin);
    const std::size_t dash = std::min(item.find('-'), item.size());
    const auto first = text::parse_integer(item.substr(0, dash));
    const auto last = dash == item.size() ? first : text::parse_integer(item.substr(dash + 1));
    const bool good = first.has_value() && last.has_value() && *first >= kStatusMin &&
                      *first <= *last && *last <= kStatusMax;
    if (!good || ranges.size() >= kRangesMax) {
      statement.error_at(word.part(begin, end), "this is not a status or a range of them")
          .with_found(item)
          .with_allowed("such as 200, 200-299 or 200,204,300-399");
      return std::nullopt;
    }
    ranges.push_back({static_cast<int>(*first), static_cast<int>(*last)});
    begin = end + 1;
  }
  return ranges;
}

// A regular expression over three digits says a set of statuses: it is tried on each. Only what
// real configurations write is let through, so that none is costly.
std::optional<std::vector<CheckConfig::StatusRange>> parse_status_regex(Statement& statement,
                                                                        const Word& word) {
  constexpr std::size_t kRegexMax = 64;
  std::string expression;
  bool simple = word.text.size() <= kRegexMax;
  for (std::size_t i = 0; simple && i < word.text.size(); ++i) {
    const char c = word.text[i];
    if (c == '\\' && i + 1 < word.text.size() && word.text[i + 1] == 'd') {
      expression += "[0-9]";
      ++i;
    } else if ((c >= '0' && c <= '9') ||
               std::string_view("()[]^$|.-").find(c) != std::string::npos) {
      expression += c;
    } else {
      simple = false;
    }
  }
  regex_t compiled;
  if (!simple || regcomp(&compiled, expression.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
    statement.error(word, "this regular expression is more than nines reads for a status")
        .with_help("write 'http-check expect status 200-399' or a list of statuses")
        .with_allowed("digits, \\d, ., [], (), |, ^ and $");
    return std::nullopt;
  }
  std::vector<CheckConfig::StatusRange> ranges;
  for (int status = kStatusMin; status <= kStatusMax; ++status) {
    if (regexec(&compiled, std::to_string(status).c_str(), 0, nullptr, 0) != 0) continue;
    if (!ranges.empty() && ranges.back().last == status - 1) {
      ranges.back().last = status;
    } else {
      ranges.push_back({status, status});
    }
  }
  regfree(&compiled);
  if (ranges.empty()) {
    statement.error(word, "no status fits this regular expression");
    return std::nullopt;
  }
  return ranges;
}

// "http-check expect [comment TEXT] [!] status|rstatus PATTERN"
void http_check_expect(ProxyDraft& draft, Statement& statement) {
  bool negated = false;
  while (const Word* word = statement.take()) {
    std::string_view kind = word->text;
    if (kind == "comment") {
      if (statement.take_word("a text behind 'comment'") == nullptr) return;
      continue;
    }
    if (kind.starts_with('!')) {
      negated = true;
      kind.remove_prefix(1);
      if (kind.empty()) continue;
    }
    if (kind != "status" && kind != "rstatus") {
      text::Diagnostic& diagnostic =
          statement.error(*word, "this expectation is not one nines can check");
      diagnostic.with_allowed("[!] status LIST, [!] rstatus REGEX");
      add_suggestion(diagnostic, kind, std::array<std::string_view, 2>{"status", "rstatus"});
      return;
    }
    const Word* pattern = statement.take_word("a pattern behind '" + std::string(kind) + "'");
    if (pattern == nullptr) return;
    auto ranges = kind == "status" ? parse_statuses(statement, *pattern)
                                   : parse_status_regex(statement, *pattern);
    if (!ranges || !statement.expect_end()) return;
    draft.config.check.expected = std::move(*ranges);
    draft.config.check.expect_negated = negated;
    return;
  }
  statement.error_missing("an expectation").with_allowed("[!] status LIST, [!] rstatus REGEX");
}

constexpr std::string_view kNoCheckScripts =
    "checks in nines are one request and one answer: use 'http-check send' and 'http-check expect'";

constexpr unsigned kBack = kInDefaults | kInBackend;

constexpr Keyword<ProxyDraft> kHttpChecks[] = {
    harmless<ProxyDraft>("comment", kBack, "comments of checks are not shown anywhere"),
    unsupported<ProxyDraft>("connect", kBack, kNoCheckScripts),
    unsupported<ProxyDraft>("disable-on-404", kBack,
                            "put a server out of use through the runtime socket instead"),
    {"expect", kBack, &http_check_expect},
    {"send", kBack, &http_check_send},
    unsupported<ProxyDraft>("send-state", kBack, kNoCheckScripts),
    unsupported<ProxyDraft>("set-var", kBack, kNoCheckScripts),
    unsupported<ProxyDraft>("set-var-fmt", kBack, kNoCheckScripts),
    unsupported<ProxyDraft>("unset-var", kBack, kNoCheckScripts),
};

}  // namespace

void read_http_check(ProxyDraft& draft, Statement& statement) {
  if (statement.at_end()) {
    statement.error_missing("one of its rules").with_allowed("expect, send");
    return;
  }
  statement.descend();
  dispatch<ProxyDraft>(kHttpChecks, draft, statement, "'http-check' rule", "");
}

// "option httpchk", "... URI", "... METHOD URI", "... METHOD URI VERSION"
void read_httpchk(ProxyDraft& draft, Statement& statement) {
  CheckConfig check = draft.config.check;
  check.kind = CheckKind::kHttp;
  const std::span<const Word> words = statement.rest();
  if (words.size() == 1) {
    if (!set_uri(check, statement, words[0])) return;
  } else if (words.size() >= 2) {
    if (!set_method(check, statement, words[0]) || !set_uri(check, statement, words[1])) return;
    if (words.size() > 2 && !set_version(check, statement, words[2])) return;
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(words.size(), 3); ++i) statement.take();
  if (!statement.expect_end()) return;
  draft.config.check = std::move(check);
}

// "option mysql-check [user NAME [post-41|pre-41]]"
void read_mysql_check(ProxyDraft& draft, Statement& statement) {
  CheckConfig check;
  check.kind = CheckKind::kMysql;
  if (const Word* word = statement.take(); word != nullptr) {
    if (word->text != "user") {
      statement.error(*word, "unknown argument of 'option mysql-check'")
          .with_allowed("user NAME [post-41|pre-41]");
      return;
    }
    const Word* user = statement.take_word("a name behind 'user'");
    if (user == nullptr) return;
    check.user = user->text;
    if (const Word* auth = statement.take(); auth != nullptr) {
      if (auth->text == "pre-41") {
        check.auth = CheckConfig::MysqlAuth::kPre41;
      } else if (auth->text != "post-41") {
        text::Diagnostic& diagnostic = statement.error(*auth, "unknown kind of MySQL login");
        constexpr std::array<std::string_view, 2> kKinds = {"post-41", "pre-41"};
        diagnostic.with_allowed(joined(kKinds));
        add_suggestion(diagnostic, auth->text, kKinds);
        return;
      }
    }
  }
  if (statement.expect_end()) draft.config.check = std::move(check);
}

namespace {

// "credentials FILE" in a check's options; true when it was good.
bool set_credentials(ProxyDraft& draft, CheckConfig& check, Statement& statement) {
  const Word* path = statement.take_word("a file behind 'credentials'");
  if (path == nullptr) return false;
  if (!path->text.starts_with('/')) {
    statement.error(*path, "the file of credentials is named by its whole path")
        .with_allowed("such as /etc/nines/check.credentials");
    return false;
  }
  check.credentials_path = path->text;
  draft.credentials_span = path->span;
  return true;
}

bool expect_credentials(const CheckConfig& check, Statement& statement) {
  if (!check.credentials_path.empty()) return true;
  statement.error_missing("'credentials FILE'")
      .with_help("the file has lines 'user = NAME' and 'password = WORD'; no rights for others");
  return false;
}

}  // namespace

// "option galera-check credentials FILE [available-when-donor]"
void read_galera_check(ProxyDraft& draft, Statement& statement) {
  constexpr std::array<std::string_view, 2> kArguments = {"credentials", "available-when-donor"};
  CheckConfig check;
  check.kind = CheckKind::kGalera;
  while (const Word* word = statement.take()) {
    if (word->text == "credentials") {
      if (!set_credentials(draft, check, statement)) return;
    } else if (word->text == "available-when-donor") {
      check.donor_is_available = true;
    } else {
      text::Diagnostic& diagnostic =
          statement.error(*word, "unknown argument of 'option galera-check'");
      diagnostic.with_allowed("credentials FILE, available-when-donor");
      add_suggestion(diagnostic, word->text, kArguments);
      return;
    }
  }
  if (expect_credentials(check, statement)) draft.config.check = std::move(check);
}

// "option keystone-check credentials FILE [repeat-tokens]"
void read_keystone_check(ProxyDraft& draft, Statement& statement) {
  constexpr std::array<std::string_view, 2> kArguments = {"credentials", "repeat-tokens"};
  CheckConfig check;
  check.kind = CheckKind::kKeystone;
  while (const Word* word = statement.take()) {
    if (word->text == "credentials") {
      if (!set_credentials(draft, check, statement)) return;
    } else if (word->text == "repeat-tokens") {
      check.repeats_tokens = true;
    } else {
      text::Diagnostic& diagnostic =
          statement.error(*word, "unknown argument of 'option keystone-check'");
      diagnostic.with_allowed("credentials FILE, repeat-tokens");
      add_suggestion(diagnostic, word->text, kArguments);
      return;
    }
  }
  if (expect_credentials(check, statement)) draft.config.check = std::move(check);
}

void list_check_keywords(std::vector<KeywordInfo>& out) {
  list_keywords<ProxyDraft>(kHttpChecks, "http-check ", out);
  out.push_back({"http-check expect status", KeywordSupport::kSupported, {}});
  out.push_back({"http-check expect rstatus", KeywordSupport::kSupported, {}});
  for (const char* argument : {"meth", "uri", "ver", "hdr", "comment"}) {
    out.push_back({std::string("http-check send ") + argument, KeywordSupport::kSupported, {}});
  }
}

}  // namespace nines::proxy
