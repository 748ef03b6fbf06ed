// Words, quotes, comments and braces, by keepalived.conf(5).
#include "vrrp/config_tree.h"

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

// The characters that a backslash makes inside quotes; any other stands for itself.
char escaped(char c) {
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
      } else {
        tokens.push_back({Token::Kind::kWord, cut_word()});
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
        if (c == '\\' && at_ + 1 < text_.size()) {
          word.text += escaped(text_[++at_]);
        } else if (c == quote) {
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
      if (c == '"' || c == '\'') {
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
