// Words, quotes, comments and braces, by keepalived.conf(5).
#include "vrrp/config_tree.h"

#include <cctype>
#include <optional>
#include <string_view>
#include <utility>

namespace nines::vrrp {

namespace {

constexpr std::string_view kBlanks = " \t\r";

struct Token {
  enum class Kind : std::uint8_t { kWord, kOpen, kClose };
  Kind kind = Kind::kWord;
  Word word;
};

char without_mark(char c) { return c == kHashMark ? '#' : c == kBangMark ? '!' : c; }

// What a backslash makes inside the quotes of a command. `at` is behind the backslash and moves
// behind what was read. Numbers lose all but their low eight bits, as in keepalived, and
// hexadecimal ones go on as long as there are digits; any other character stands for itself.
char escaped(std::string_view text, std::size_t& at) {
  constexpr std::size_t kOctalDigitsMax = 3;
  const char c = text[at++];
  const auto digit_at = [&](std::size_t i) { return i < text.size() ? text[i] : '\0'; };
  if (c >= '0' && c <= '7') {
    unsigned value = static_cast<unsigned>(c - '0');
    for (std::size_t i = 1; i < kOctalDigitsMax; ++i) {
      const char digit = digit_at(at);
      if (digit < '0' || digit > '7') break;
      value = value * 8 + static_cast<unsigned>(digit - '0');
      ++at;
    }
    return static_cast<char>(value & 0xFF);
  }
  if (c == 'x' && std::isxdigit(static_cast<unsigned char>(digit_at(at)))) {
    unsigned value = 0;
    for (; std::isxdigit(static_cast<unsigned char>(digit_at(at))); ++at) {
      const char digit = text[at];
      value = (value * 16 +
               static_cast<unsigned>(digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10)) &
              0xFF;
    }
    return static_cast<char>(value);
  }
  if (c == 'c' && std::isalpha(static_cast<unsigned char>(digit_at(at)))) {
    return static_cast<char>(text[at++] & 0x1F);
  }
  switch (c) {
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'E':
      return '\x1b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    default:
      return c;
  }
}

// keepalived takes escapes and single quotes in commands alone: elsewhere both characters stand for
// themselves, and a password may hold them.
bool wants_command(std::string_view keyword) {
  return keyword == "script" || keyword.starts_with("notify") || keyword.ends_with("_script");
}

class Cutter {
 public:
  Cutter(const Line& line, const std::vector<text::SourceFile>& files,
         text::Diagnostics& diagnostics)
      : line_(line), files_(files), diagnostics_(diagnostics), text_(line.text) {}

  std::vector<Token> cut() {
    std::vector<Token> tokens;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (kBlanks.find(c) != std::string_view::npos) {
        ++at_;
      } else if (c == '#' || c == '!') {
        break;
      } else if (c == '{' || c == '}') {
        tokens.push_back({c == '{' ? Token::Kind::kOpen : Token::Kind::kClose,
                          {std::string(1, c), line_.span(files_, at_, at_ + 1)}});
        ++at_;
        first_ = true;
        command_ = false;
      } else {
        tokens.push_back({Token::Kind::kWord, cut_word()});
        if (std::exchange(first_, false)) command_ = wants_command(tokens.back().word.text);
      }
    }
    return tokens;
  }

 private:
  Word cut_word() {
    const std::size_t begin = at_;
    Word word;
    char quote = 0;
    std::size_t quote_at = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (quote != 0) {
        if (command_ && c == '\\' && at_ + 1 < text_.size()) {
          const std::size_t backslash = at_++;
          word.text += escaped(text_, at_);
          if (word.text.back() == '\0') {
            diagnostics_.error(line_.span(files_, backslash, at_),
                               "a zero byte would end the command here");
          }
          continue;
        }
        if (c == quote) {
          quote = 0;
        } else {
          word.text += without_mark(c);
        }
        ++at_;
        continue;
      }
      if (kBlanks.find(c) != std::string_view::npos || c == '{' || c == '}') {
        // "${NAME}" that is not defined stays as it stands.
        if (c == '{' && at_ > begin && text_[at_ - 1] == '$') {
          const std::size_t close = text_.find('}', at_);
          if (close != std::string_view::npos) {
            word.text += text_.substr(at_, close + 1 - at_);
            at_ = close + 1;
            continue;
          }
        }
        break;
      }
      if (c == '#' || c == '!') {
        diagnostics_
            .warning(line_.span(files_, at_, at_ + 1),
                     "a comment begins here, in the middle of a word")
            .with_help("keepalived reads it so; put the word in quotes if that is not meant");
        break;
      }
      if (c == '"' || (command_ && c == '\'')) {
        quote = c;
        quote_at = at_++;
        continue;
      }
      word.text += without_mark(c);
      ++at_;
    }
    if (quote != 0) {
      diagnostics_.error(line_.span(files_, quote_at, quote_at + 1), "this quote is never closed");
    }
    word.span = line_.span(files_, begin, at_);
    return word;
  }

  const Line& line_;
  const std::vector<text::SourceFile>& files_;
  text::Diagnostics& diagnostics_;
  std::string_view text_;
  std::size_t at_ = 0;
  bool first_ = true;     // the next word is a keyword
  bool command_ = false;  // and what follows this one is a command
};

class TreeBuilder {
 public:
  explicit TreeBuilder(text::Diagnostics& diagnostics) : diagnostics_(diagnostics) {
    levels_.emplace_back();
  }

  void add(Token token) {
    switch (token.kind) {
      case Token::Kind::kWord:
        if (current_.words.size() < kWordsPerStatementMax) {
          current_.words.push_back(std::move(token.word));
        } else if (!too_many_words_) {
          too_many_words_ = true;
          diagnostics_.error(token.word.span, "too many words in one statement");
        }
        break;
      case Token::Kind::kOpen:
        open(token.word.span);
        break;
      case Token::Kind::kClose:
        end_statement();
        close(token.word.span);
        break;
    }
  }

  void end_line() { end_statement(); }

  std::vector<Statement> finish() {
    end_statement();
    while (levels_.size() > 1) {
      diagnostics_.error(levels_.back().opened, "this block is never closed")
          .with_help("add a '}'");
      close({});
    }
    return std::move(levels_[0].statements);
  }

 private:
  struct Level {
    std::vector<Statement> statements;
    Statement owner;  // the statement whose block this is
    text::Span opened;
  };

  void end_statement() {
    too_many_words_ = false;
    if (current_.words.empty()) return;
    levels_.back().statements.push_back(std::exchange(current_, {}));
    may_open_ = true;
  }

  void open(text::Span span) {
    if (current_.words.empty()) {
      // The brace in a line of its own belongs to the statement before it.
      auto& before = levels_.back().statements;
      if (may_open_ && !before.empty() && !before.back().has_block) {
        current_ = std::move(before.back());
        before.pop_back();
      } else {
        diagnostics_.error(span, "a block without a name");
        current_.words.push_back({"{", span});
      }
    }
    if (levels_.size() > kBlockDepthMax) {
      if (surplus_depth_++ == 0) diagnostics_.error(span, "blocks are nested too deeply");
      current_ = {};
      return;
    }
    may_open_ = false;
    Level level;
    level.owner = std::exchange(current_, {});
    level.opened = span;
    levels_.push_back(std::move(level));
  }

  void close(text::Span span) {
    may_open_ = false;
    if (surplus_depth_ > 0) {
      --surplus_depth_;
      return;
    }
    if (levels_.size() == 1) {
      diagnostics_.error(span, "no block is open here");
      return;
    }
    Level level = std::move(levels_.back());
    levels_.pop_back();
    level.owner.has_block = true;
    level.owner.block = std::move(level.statements);
    levels_.back().statements.push_back(std::move(level.owner));
  }

  text::Diagnostics& diagnostics_;
  std::vector<Level> levels_;
  Statement current_;
  std::size_t surplus_depth_ = 0;
  bool may_open_ = false, too_many_words_ = false;
};

}  // namespace

std::vector<Statement> parse_tree(const std::vector<Line>& lines,
                                  const std::vector<text::SourceFile>& files,
                                  text::Diagnostics& diagnostics) {
  TreeBuilder builder(diagnostics);
  for (const Line& line : lines) {
    for (Token& token : Cutter(line, files, diagnostics).cut()) builder.add(std::move(token));
    builder.end_line();
  }
  return builder.finish();
}

}  // namespace nines::vrrp
