// A small state machine over the bytes of a line. Outside quotes a hash starts a comment anywhere,
// even inside a word, as HAProxy has it.
#include "proxy/config_words.h"

#include <optional>

namespace nines::proxy {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
}
bool is_name(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

class Cutter {
 public:
  Cutter(const text::SourceFile& source, std::uint32_t file, int number,
         const Environment& environment, std::string_view section, text::Diagnostics& diagnostics)
      : source_(source),
        file_(file),
        number_(number),
        environment_(environment),
        section_(section),
        diagnostics_(diagnostics),
        line_(source.line(number)) {
    if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
  }

  LineWords cut() {
    if (line_.size() > kLineBytesMax) {
      fail(0, line_.size(), "this line is too long")
          .with_allowed("at most " + std::to_string(kLineBytesMax) + " bytes");
      return {};
    }
    while (at_ < line_.size() && step()) {
    }
    if (!failed_ && quote_ != '\0') {
      fail(quote_at_, quote_at_ + 1, "this quote is never closed")
          .with_help(std::string("close it with ") + quote_ + ", or write \\" + quote_ +
                     " for the character itself");
    }
    if (failed_) return {};
    end_word();
    if (words_.size() > kWordsPerLineMax) {
      diagnostics_.error(words_[kWordsPerLineMax].span, "too many words on one line")
          .with_allowed("at most " + std::to_string(kWordsPerLineMax));
      return {};
    }
    return {true, std::move(words_)};
  }

 private:
  // One character of the line; false at a comment or after a mistake.
  bool step() {
    const char c = line_[at_];
    if (c == '\0') {
      fail(at_, at_ + 1, "a NUL byte in the text");
      return false;
    }
    if (quote_ == '\0' && c == '#') return false;
    if (quote_ == '\0' && is_space(c)) {
      end_word();
      ++at_;
      return true;
    }
    begin_word();
    if (c == quote_) {
      quote_ = '\0';
      word_->verbatim = false;
      ++at_;
    } else if (quote_ == '\0' && (c == '"' || c == '\'')) {
      quote_ = c, quote_at_ = at_;
      word_->verbatim = false;
      ++at_;
    } else if (c == '\\' && quote_ != '\'') {
      escape();
    } else if (c == '$' && quote_ == '"') {
      variable();
    } else {
      word_->text += c;
      ++at_;
    }
    return !failed_;
  }

  void escape() {
    const char next = at_ + 1 < line_.size() ? line_[at_ + 1] : '\0';
    switch (next) {
      case ' ':
      case '\\':
      case '#':
      case '"':
      case '\'':
        return take(next, 2);
      case '$':
        if (quote_ == '"') return take('$', 2);
        break;
      case 'n':
        return take('\n', 2);
      case 'r':
        return take('\r', 2);
      case 't':
        return take('\t', 2);
      case 'x': {
        const auto high = at_ + 2 < line_.size() ? hex_digit(line_[at_ + 2]) : std::nullopt;
        const auto low = at_ + 3 < line_.size() ? hex_digit(line_[at_ + 3]) : std::nullopt;
        if (!high || !low) {
          fail(at_, at_ + 2, "\\x is followed by two hexadecimal digits");
          return;
        }
        return take(static_cast<char>(*high * 16 + *low), 4);
      }
      default:
        break;
    }
    // Any other backslash stands for itself.
    word_->text += '\\';
    ++at_;
  }

  void take(char value, std::size_t size) {
    word_->text += value;
    word_->verbatim = false;
    at_ += size;
  }

  // "$NAME", "${NAME}", "${NAME-default}", "${NAME[*]}"; only between double quotes.
  void variable() {
    const std::size_t begin = at_++;
    const bool braces = at_ < line_.size() && line_[at_] == '{';
    if (braces) ++at_;
    const std::size_t name_begin = at_;
    if (at_ >= line_.size() || !is_name_start(line_[at_])) {
      fail(begin, at_ + 1, "a variable's name starts with a letter or an underscore")
          .with_help("write \\$ for the dollar itself");
      return;
    }
    while (at_ < line_.size() && is_name(line_[at_]) && (line_[at_] != '.' || at_ == name_begin)) {
      ++at_;
    }
    const std::string_view name = line_.substr(name_begin, at_ - name_begin);
    bool several = false;
    std::optional<std::string_view> fallback;
    if (braces) {
      if (line_.substr(at_).starts_with("[*]")) several = true, at_ += 3;
      if (at_ < line_.size() && line_[at_] == '-') {
        const std::size_t fallback_begin = ++at_;
        while (at_ < line_.size() && line_[at_] != '}') ++at_;
        fallback = line_.substr(fallback_begin, at_ - fallback_begin);
      }
      if (at_ >= line_.size() || line_[at_] != '}') {
        fail(begin, at_, "the brace of this variable is never closed").with_allowed("${NAME}");
        return;
      }
      ++at_;
    }
    word_->verbatim = false;
    insert(value_of(name).value_or(std::string(fallback.value_or(""))), several);
  }

  std::optional<std::string> value_of(std::string_view name) const {
    if (name == ".FILE") return source_.name();
    if (name == ".LINE") return std::to_string(number_);
    if (name == ".SECTION") return std::string(section_);
    const auto found = environment_.find(name);
    if (found == environment_.end()) return std::nullopt;
    return found->second;
  }

  void insert(std::string_view value, bool several) {
    expanded_bytes_ += value.size();
    if (expanded_bytes_ > kLineBytesMax) {
      fail(word_begin_, at_, "this line grows too long once its variables are expanded");
      return;
    }
    for (const char c : value) {
      if (several && is_space(c)) {
        end_word();
        continue;
      }
      begin_word();
      word_->verbatim = false;
      word_->text += c;
    }
  }

  void begin_word() {
    if (word_.has_value()) return;
    word_.emplace();
    word_begin_ = at_;
  }

  void end_word() {
    if (!word_.has_value()) return;
    // One more than allowed is kept, for the complaint to point at.
    if (words_.size() <= kWordsPerLineMax) {
      word_->span = source_.span(file_, number_, word_begin_, at_);
      words_.push_back(std::move(*word_));
    }
    word_.reset();
  }

  text::Diagnostic& fail(std::size_t begin, std::size_t end, std::string_view message) {
    failed_ = true;
    return diagnostics_.error(source_.span(file_, number_, begin, end), message);
  }

  const text::SourceFile& source_;
  const std::uint32_t file_;
  const int number_;
  const Environment& environment_;
  const std::string_view section_;
  text::Diagnostics& diagnostics_;
  std::string_view line_;

  std::size_t at_ = 0;
  char quote_ = '\0';
  std::size_t quote_at_ = 0;
  bool failed_ = false;
  std::size_t expanded_bytes_ = 0;
  std::size_t word_begin_ = 0;
  std::optional<Word> word_;
  std::vector<Word> words_;
};

}  // namespace

text::Span Word::part(std::size_t begin, std::size_t end) const {
  if (!verbatim) return span;
  // The file's own index is not needed: a verbatim word is its own line.
  const text::SourceFile self("", text);
  const text::Span within = self.span(span.file, 1, begin, end);
  return text::Span{span.file, span.line, span.column + within.column - 1, within.length};
}

LineWords cut_words(const text::SourceFile& source, std::uint32_t file, int number,
                    const Environment& environment, std::string_view section,
                    text::Diagnostics& diagnostics) {
  return Cutter(source, file, number, environment, section, diagnostics).cut();
}

}  // namespace nines::proxy
