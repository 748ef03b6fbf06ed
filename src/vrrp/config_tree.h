// keepalived.conf as a tree: statements of words, some with a block behind them. Internal to the
// parser.
#pragma once

#include <string>
#include <vector>

#include "text/diagnostics.h"
#include "vrrp/config_lines.h"

namespace nines::vrrp {

// A word after quotes and escapes are resolved.
struct Word {
  std::string text;
  text::Span span;  // where it stands, quotes and all
};

struct Statement {
  std::vector<Word> words;  // never empty; the first is the keyword
  bool has_block = false;
  std::vector<Statement> block;
  const Word& keyword() const { return words[0]; }
};

inline constexpr std::size_t kBlockDepthMax = 16;
inline constexpr std::size_t kWordsPerStatementMax = 512;

// A statement ends with its line or a brace; a block's brace may stand in a later line, and what
// follows a brace is a statement again ("}  track_script {"), as keepalived reads it.
std::vector<Statement> parse_tree(const std::vector<Line>& lines,
                                  const std::vector<text::SourceFile>& files,
                                  text::Diagnostics& diagnostics);

}  // namespace nines::vrrp
