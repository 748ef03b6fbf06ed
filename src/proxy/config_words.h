// One line of haproxy.cfg cut into words, by section 2.2 (quoting and escaping) and 2.3
// (environment variables) of the manual. Internal to the parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config_environment.h"
#include "text/diagnostics.h"
#include "text/source.h"

namespace nines::proxy {

// A word after quotes, escapes and variables are resolved.
struct Word {
  std::string text;
  text::Span span;       // where it stands, quotes and all
  bool verbatim = true;  // the text is what stands there, so that a part of it has a place too

  // The place of text[begin, end); the whole word when it is not verbatim.
  text::Span part(std::size_t begin, std::size_t end) const;
};

// HAProxy's own limit on words (MAX_LINE_ARGS) is 64; one more is an error, not a truncation.
inline constexpr std::size_t kWordsPerLineMax = 64;
inline constexpr std::size_t kLineBytesMax = 65536;  // also after variables are expanded

// Cuts line `number` of `source`. Complaints go to `diagnostics` and give an empty result.
struct LineWords {
  bool ok = false;
  std::vector<Word> words;
};
LineWords cut_words(const text::SourceFile& source, std::uint32_t file, int number,
                    const Environment& environment, std::string_view section,
                    text::Diagnostics& diagnostics);

}  // namespace nines::proxy
