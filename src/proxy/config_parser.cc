// The driver: ".if" decides which lines count, section keywords open sections, and every other line
// goes to the section that is open.
#include "proxy/config_parser.h"

#include <algorithm>
#include <array>

#include "proxy/config_conditional.h"
#include "proxy/config_global.h"

namespace nines::proxy {
namespace {

constexpr std::size_t kFileBytesMax = 16u << 20;
constexpr std::size_t kConditionDepthMax = 64;
constexpr std::size_t kSectionsMax = 65536;
constexpr std::size_t kErrorsMax = 5000;  // then this is no haproxy.cfg: the rest is not read

// Sections that are known and that nines does not read.
struct AbsentSection {
  std::string_view name, advice;
};
constexpr AbsentSection kAbsentSections[] = {
    {"cache", "caches are not offered: remove the section"},
    {"fcgi-app", "put a web server in front of the FastCGI program"},
    {"http-errors", "error answers have nines' own text: remove the section"},
    {"log-forward", "logs are sent, not forwarded: use a syslog daemon"},
    {"mailers", "mail is not sent: watch the log or the API"},
    {"peers", "stick tables are not offered, so there is nothing to share: remove the section"},
    {"program", "start the program by systemd"},
    {"resolvers", "host names are not resolved: write the servers' addresses"},
    {"ring", "log to a syslog address instead"},
    {"userlist", "authentication of users is not offered, save 'stats auth'"},
};

constexpr std::array<std::string_view, 5> kSections = {"global", "defaults", "frontend", "backend",
                                                       "listen"};

class Parser {
 public:
  Parser(std::span<const text::SourceFile> files, Environment environment,
         text::Diagnostics& diagnostics)
      : files_(files), environment_(std::move(environment)), diagnostics_(diagnostics) {}

  ParsedConfig run() {
    for (std::size_t i = 0; i < files_.size(); ++i) read_file(static_cast<std::uint32_t>(i));
    return std::move(out_);
  }

 private:
  enum class Section : std::uint8_t { kNone, kGlobal, kProxy, kIgnored };

  // One level of ".if".
  struct Level {
    text::Span span;
    bool outer;   // the lines around it count
    bool active;  // the lines here count
    bool taken;   // a branch was active already
    bool else_seen;
  };

  void read_file(std::uint32_t index) {
    const text::SourceFile& file = files_[index];
    if (file.content().size() > kFileBytesMax) {
      diagnostics_.error(text::Span{index, 0, 0, 0}, "this file is too large")
          .with_allowed("at most " + std::to_string(kFileBytesMax) + " bytes");
      return;
    }
    section_ = Section::kNone;
    section_name_.clear();
    levels_.clear();
    for (int number = 1; number <= file.line_count(); ++number) {
      if (diagnostics_.errors() >= kErrorsMax) return;
      read_line(file, index, number);
    }
    // What HAProxy takes for a sign of truncation, and so do we.
    if (!file.ends_with_line_feed()) {
      const int last = file.line_count();
      const std::size_t size = file.line(last).size();
      diagnostics_
          .error(file.span(index, last, size, size),
                 "the last line has no line feed: the file may have been cut off")
          .with_help("end the file with a line feed");
    }
    for (const Level& level : levels_) {
      diagnostics_.error(level.span, "this '.if' has no '.endif'");
    }
  }

  void read_line(const text::SourceFile& file, std::uint32_t index, int number) {
    const std::string_view raw = file.line(number);
    if (raw.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const LineWords line =
        cut_words(file, index, number, environment_, section_name_, diagnostics_);
    if (!line.ok || line.words.empty()) return;
    Statement statement(line.words, file.name(), diagnostics_);
    if (line.words[0].text.starts_with('.')) {
      read_directive(statement);
    } else if (levels_.empty() || levels_.back().active) {
      read_statement(statement);
    }
  }

  void read_statement(Statement& statement) {
    const std::string_view word = statement.keyword().text;
    if (open_section(statement, word)) return;
    switch (section_) {
      case Section::kNone: {
        std::vector<std::string_view> names(kSections.begin(), kSections.end());
        answer_unknown(statement, statement.keyword(), "section", "", names);
        break;
      }
      case Section::kGlobal: {
        GlobalDraft draft{out_.global, environment_};
        read_global_statement(draft, statement);
        break;
      }
      case Section::kProxy:
        read_proxy_statement(*draft_, statement);
        break;
      case Section::kIgnored:
        break;
    }
  }

  // True when the line opens a section, well or badly.
  bool open_section(Statement& statement, std::string_view word) {
    if (word == "global") {
      section_ = Section::kGlobal;
      section_name_ = "global";
      statement.expect_end();
      return true;
    }
    constexpr SectionKind kKinds[] = {SectionKind::kDefaults, SectionKind::kFrontend,
                                      SectionKind::kBackend, SectionKind::kListen};
    for (const SectionKind kind : kKinds) {
      if (word != name_of(kind)) continue;
      open_proxy(statement, kind);
      return true;
    }
    for (const AbsentSection& section : kAbsentSections) {
      if (word != section.name) continue;
      statement
          .error_at(statement.keyword().span, "sections of the kind '" + std::string(word) +
                                                  "' are known but not supported by nines")
          .with_help(section.advice);
      // Its lines are passed over: one complaint is enough.
      section_ = Section::kIgnored;
      section_name_ = section.name;
      return true;
    }
    return false;
  }

  void open_proxy(Statement& statement, SectionKind kind) {
    if (out_.defaults.size() + out_.proxies.size() >= kSectionsMax) {
      statement.error(statement.keyword(), "too many sections");
      section_ = Section::kIgnored;
      return;
    }
    const Word* name = nullptr;
    if (kind != SectionKind::kDefaults ||
        (!statement.at_end() && statement.peek()->text != "from")) {
      name = statement.take_word("a name");
    }
    if (name != nullptr && kind != SectionKind::kDefaults && !is_identifier(name->text)) {
      statement.error(*name, "a proxy's name has other characters than it may")
          .with_allowed("letters, digits, '-', '_', '.' and ':'");
    }
    // A badly opened section is read all the same, for the mistakes in it.
    ProxyDraft draft = inherited(statement, kind);
    draft.kind = kind;
    draft.header = name == nullptr ? statement.keyword().span : name->span;
    draft.config.name = name == nullptr ? "" : name->text;
    draft.config.place = statement.place();
    draft.config.frontend = kind == SectionKind::kFrontend || kind == SectionKind::kListen;
    draft.config.backend = kind == SectionKind::kBackend || kind == SectionKind::kListen;
    statement.expect_end();
    auto& list = kind == SectionKind::kDefaults ? out_.defaults : out_.proxies;
    list.push_back(std::move(draft));
    draft_ = &list.back();
    section_ = Section::kProxy;
    section_name_ = name == nullptr ? std::string(name_of(kind)) : name->text;
  }

  // What a new section starts with: the defaults it names, else for a proxy the latest ones, else
  // the documented values.
  ProxyDraft inherited(Statement& statement, SectionKind kind) {
    const ProxyDraft* from = nullptr;
    if (statement.accept("from")) {
      const Word* name = statement.take_word("the name of a 'defaults' behind 'from'");
      if (name != nullptr) from = find_defaults(statement, *name);
    } else if (kind != SectionKind::kDefaults && !out_.defaults.empty()) {
      from = &out_.defaults.back();
    }
    if (from == nullptr) return {};
    check_inherited_rules(statement, kind, *from);
    ProxyDraft draft = *from;
    draft.config.description.clear();
    draft.stats_inherited = true;
    draft.httplog_span.reset();
    // ACLs of a defaults section serve its own rules only (section 4.2, "acl").
    draft.acls.clear();
    draft.rules_inherited_by.reset();
    return draft;
  }

  // Rules may be inherited by one side only, else they would run twice on a request.
  void check_inherited_rules(Statement& statement, SectionKind kind, const ProxyDraft& from) {
    if (from.config.http_request_rules.empty()) return;
    auto& mutable_from = out_.defaults[static_cast<std::size_t>(&from - out_.defaults.data())];
    const bool other_side = from.rules_inherited_by && *from.rules_inherited_by != kind;
    const bool one_sided = kind == SectionKind::kFrontend || kind == SectionKind::kBackend;
    if (one_sided && !other_side) {
      mutable_from.rules_inherited_by = kind;
      return;
    }
    statement
        .error(statement.keyword(),
               one_sided ? "a frontend and a backend cannot both inherit rules of one 'defaults'"
                         : "a '" + std::string(name_of(kind)) + "' cannot inherit rules")
        .with_found(from.title())
        .with_help("write the rules in the section itself");
  }

  const ProxyDraft* find_defaults(Statement& statement, const Word& name) {
    const ProxyDraft* found = nullptr;
    std::vector<std::string_view> names;
    for (const ProxyDraft& draft : out_.defaults) {
      names.push_back(draft.config.name);
      if (draft.config.name != name.text) continue;
      if (found != nullptr) {
        statement.error(name, "several 'defaults' sections have this name");
        return nullptr;
      }
      found = &draft;
    }
    if (found == nullptr) {
      text::Diagnostic& diagnostic =
          statement.error(name, "there is no 'defaults' section of this name before this line");
      add_suggestion(diagnostic, name.text, names);
    }
    return found;
  }

  // Section 2.4: conditional blocks and messages.
  void read_directive(Statement& statement) {
    const Word& word = statement.keyword();
    const bool active = levels_.empty() || levels_.back().active;
    if (word.text == ".if") {
      if (levels_.size() >= kConditionDepthMax) {
        statement.error(word, "conditional blocks are nested too deeply");
        return;
      }
      const bool value = active && evaluate(statement);
      levels_.push_back({word.span, active, value, value, false});
    } else if (word.text == ".elif" || word.text == ".else") {
      read_branch(statement, word.text == ".else");
    } else if (word.text == ".endif") {
      statement.expect_end();
      if (levels_.empty()) {
        statement.error(word, "there is no '.if' before this");
      } else {
        levels_.pop_back();
      }
    } else if (word.text == ".alert" || word.text == ".warning" || word.text == ".notice" ||
               word.text == ".diag") {
      if (active) read_message(statement);
    } else {
      constexpr std::array<std::string_view, 8> kDirectives = {
          ".if", ".elif", ".else", ".endif", ".alert", ".warning", ".notice", ".diag"};
      if (active) answer_unknown(statement, word, "directive", "", kDirectives);
    }
  }

  void read_branch(Statement& statement, bool is_else) {
    const Word& word = statement.keyword();
    if (levels_.empty()) {
      statement.error(word, "there is no '.if' before this");
      return;
    }
    Level& level = levels_.back();
    if (level.else_seen) {
      statement.error(word, "the '.else' of this block came already");
      return;
    }
    level.else_seen = is_else;
    if (is_else) statement.expect_end();
    const bool possible = level.outer && !level.taken;
    level.active = possible && (is_else || evaluate(statement));
    level.taken = level.taken || level.active;
  }

  bool evaluate(Statement& statement) {
    // The words are put together again; the parts of the expression know their own spaces.
    std::string expression;
    std::vector<std::size_t> begins;
    for (const Word& word : statement.rest()) {
      if (!expression.empty()) expression += ' ';
      begins.push_back(expression.size());
      expression += word.text;
    }
    const ConditionalVerdict verdict = evaluate_conditional(expression, environment_);
    if (verdict.ok) return verdict.value;
    text::Span span = statement.end_span();
    for (std::size_t i = begins.size(); i-- > 0;) {
      if (verdict.position < begins[i]) continue;
      const Word& word = statement.rest()[i];
      const std::size_t at = std::min(verdict.position - begins[i], word.text.size());
      span = word.part(at, word.text.size());
      break;
    }
    statement.error_at(span, verdict.message).with_allowed(verdict.allowed);
    return false;
  }

  void read_message(Statement& statement) {
    const std::string kind = statement.keyword().text;
    const Word* message = statement.take_word("a message");
    if (message == nullptr || !statement.expect_end()) return;
    if (kind == ".alert") {
      diagnostics_.error(message->span, message->text);
    } else if (kind == ".warning") {
      diagnostics_.warning(message->span, message->text);
    } else if (kind == ".notice") {
      diagnostics_.note(message->span, message->text);
    }
  }

  const std::span<const text::SourceFile> files_;
  Environment environment_;
  text::Diagnostics& diagnostics_;
  ParsedConfig out_;
  Section section_ = Section::kNone;
  ProxyDraft* draft_ = nullptr;  // of kProxy; valid until the next section opens
  std::string section_name_;
  std::vector<Level> levels_;
};

}  // namespace

ParsedConfig parse_config(std::span<const text::SourceFile> files, Environment environment,
                          text::Diagnostics& diagnostics) {
  return Parser(files, std::move(environment), diagnostics).run();
}

}  // namespace nines::proxy
