// By the tree where it knows the place of a word, by the line's text where it does not: a line
// whose definitions were replaced, and one that never became a statement.
#include "vrrp/config_secrets.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "vrrp/config_load.h"

namespace nines::vrrp {

namespace {

constexpr std::string_view kPassword = "auth_pass";
constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kStars = "****";

bool tells_nothing(std::string_view word) {
  return word == "PASS" || word == "AH" || word.starts_with("auth") || is_known_keyword(word);
}

class Hider {
 public:
  explicit Hider(const std::vector<text::SourceFile>& files) : files_(files) {
    for (std::uint32_t file = 0; file < files.size(); ++file) {
      for (int line = 1; line <= files[file].line_count(); ++line) look_at_line(file, line);
    }
  }

  void look_at_statements(const std::vector<Statement>& statements, bool inside) {
    for (const Statement& statement : statements) {
      bool password = false;
      for (const Word& word : statement.words) {
        if (password || (inside && !tells_nothing(word.text))) hide(statement, word);
        password |= word.text == kPassword;
      }
      // A brace in a password makes a block of its rest.
      look_at_statements(statement.block,
                         inside || password || statement.keyword().text == "authentication");
    }
  }

  void apply(std::vector<text::SourceFile>& files, text::Diagnostics& diagnostics) const {
    diagnostics.rewrite([this](text::Diagnostic& diagnostic) {
      if (quotes_secret(diagnostic.span)) hide_quoted(diagnostic);
    });
    for (std::uint32_t file = 0; file < files.size(); ++file) {
      std::map<int, int> tails;
      for (const auto& [place, column] : shown_until_) {
        if (place.first == file) tails[place.second] = column;
      }
      if (!tails.empty()) files[file] = text::with_tails_hidden(files[file], tails);
    }
  }

 private:
  using LinePlace = std::pair<std::uint32_t, int>;  // file and line

  void look_at_line(std::uint32_t file, int number) {
    const std::string_view line = files_[file].line(number);
    if (const std::size_t at = line.find(kPassword); at != std::string_view::npos) {
      hide_from_byte(file, number, at + kPassword.size());
    }
    // "$NAME=VALUE", behind an "@id" or not: the value may be a password.
    const std::size_t dollar = line.find('$');
    const std::size_t equals = line.find('=', std::min(dollar, line.size()));
    if (equals == std::string_view::npos) return;
    const std::size_t first = line.find_first_not_of(kBlanks);
    if (first == dollar || line[first] == '@') hide_from_byte(file, number, equals + 1);
  }

  void hide_from_byte(std::uint32_t file, int number, std::size_t byte) {
    const std::size_t size = files_[file].line(number).size();
    hide_from_column({file, number}, files_[file].span(file, number, byte, size).column);
  }

  void hide_from_column(LinePlace place, int column) {
    const auto [found, is_new] = shown_until_.emplace(place, column);
    if (!is_new) found->second = std::min(found->second, column);
  }

  void hide(const Statement& statement, const Word& word) {
    const text::Span& span = word.span;
    if (span.line == 0 || span.file >= files_.size()) return;
    // Words that share a place are of a line that stood elsewhere.
    const bool rewritten = statement.words.size() > 1 &&
                           statement.words[0].span.column == statement.words[1].span.column;
    if (!rewritten) return hide_from_column({span.file, span.line}, span.column);
    rewritten_.emplace(span.file, span.line);
    const std::string_view line = files_[span.file].line(span.line);
    const std::size_t first = line.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return;
    const std::size_t blank = line.find_first_of(kBlanks, first);
    if (blank != std::string_view::npos) hide_from_byte(span.file, span.line, blank);
  }

  bool quotes_secret(const text::Span& span) const {
    const LinePlace place{span.file, span.line};
    if (rewritten_.contains(place)) return true;
    const auto found = shown_until_.find(place);
    return found != shown_until_.end() && span.column + std::max(span.length, 1) > found->second;
  }

  // Messages put what they quote between apostrophes.
  static void hide_quoted(text::Diagnostic& diagnostic) {
    std::string& message = diagnostic.message;
    const std::size_t open = message.find('\''), close = message.rfind('\'');
    if (open != close && !tells_nothing(message.substr(open + 1, close - open - 1))) {
      message.replace(open + 1, close - open - 1, kStars);
    }
    if (!diagnostic.found.empty() && !tells_nothing(diagnostic.found)) diagnostic.found = kStars;
  }

  const std::vector<text::SourceFile>& files_;
  std::map<LinePlace, int> shown_until_;  // the first column that is hidden
  std::set<LinePlace> rewritten_;         // hold a secret that is not in their own text
};

}  // namespace

void hide_secrets(const std::vector<Statement>& tree, std::vector<text::SourceFile>& files,
                  text::Diagnostics& diagnostics) {
  Hider hider(files);
  hider.look_at_statements(tree, false);
  hider.apply(files, diagnostics);
}

}  // namespace nines::vrrp
