// keepalived.conf before it has words: includes, definitions ($NAME=VALUE), conditional lines (@id)
// and sequences (~SEQ) resolved, a plain list of lines left. Internal to the parser.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/diagnostics.h"
#include "text/source.h"
#include "vrrp/config_load.h"

namespace nines::vrrp {

// A line as the words are cut from it.
struct Line {
  std::string text;
  std::uint32_t file = 0;
  int number = 0;
  bool verbatim = true;    // the text is what stands there, so that its words have places too
  std::size_t offset = 0;  // of the text in the line, when it is verbatim

  // The place of text[begin, end); the whole line when it is not verbatim.
  text::Span span(const std::vector<text::SourceFile>& files, std::size_t begin,
                  std::size_t end) const;
};

// What ${_HASH} and ${_BANG} become until words are cut, so that they begin no comment.
inline constexpr char kHashMark = '\x01';
inline constexpr char kBangMark = '\x02';

inline constexpr std::size_t kLinesMax = 200'000;     // after everything is expanded
inline constexpr std::size_t kLineBytesMax = 65'536;  // also after definitions are expanded
inline constexpr std::size_t kExpandedBytesMax = 16 * 1024 * 1024;
inline constexpr std::size_t kIncludeDepthMax = 16;
inline constexpr std::size_t kFilesMax = 1024;
inline constexpr int kSubstitutionsMax = 256;  // in one line: a definition may name itself
inline constexpr int kExpansionDepthMax = 32;  // definitions of several lines in one another

// Reads files[0] and what it includes, which is appended to `files`.
std::vector<Line> expand_lines(std::vector<text::SourceFile>& files, const Environment& environment,
                               text::Diagnostics& diagnostics);

}  // namespace nines::vrrp
