// A configuration's text and places in it. Every dialect (haproxy.cfg, keepalived.conf, YAML)
// speaks of the same Span, so that all complaints look alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace nines::text {

// A run of characters in one line. Lines and columns count from 1; a column is a character (a UTF-8
// code point), not a byte. Line 0: the file as a whole. Length 0: a point, such as the line's end.
struct Span {
  std::uint32_t file = 0;  // index into the list of SourceFiles
  int line = 0;
  int column = 0;
  int length = 0;
  friend auto operator<=>(const Span&, const Span&) = default;
};

// Owns the text. Immutable.
class SourceFile {
 public:
  SourceFile(std::string name, std::string content);

  const std::string& name() const { return name_; }
  std::string_view content() const { return content_; }

  // A text of N line feeds has N lines, plus one when something follows the last.
  int line_count() const { return static_cast<int>(line_starts_.size()); }
  // Without its line feed; empty when there is no such line. Counts from 1.
  std::string_view line(int number) const;
  bool ends_with_line_feed() const { return content_.empty() || content_.back() == '\n'; }

  // The place of bytes [begin, end) of one line.
  Span span(std::uint32_t file, int line_number, std::size_t begin, std::size_t end) const;

 private:
  std::string name_;
  std::string content_;
  std::vector<std::size_t> line_starts_;
};

// The same text with stars in place of some lines' ends, for what must not be shown: `tails` is the
// line and the first column that is hidden. Places stay the same; blanks at the end stay as well.
SourceFile with_tails_hidden(const SourceFile& file, const std::map<int, int>& tails);

}  // namespace nines::text
