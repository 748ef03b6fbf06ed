// The line index is made once; columns are counted when somebody asks.
#include "text/source.h"

#include <algorithm>

#include "text/utf8.h"

namespace nines::text {

SourceFile::SourceFile(std::string name, std::string content)
    : name_(std::move(name)), content_(std::move(content)) {
  std::size_t start = 0;
  while (start < content_.size()) {
    line_starts_.push_back(start);
    const std::size_t feed = content_.find('\n', start);
    if (feed == std::string::npos) break;
    start = feed + 1;
  }
}

std::string_view SourceFile::line(int number) const {
  if (number < 1 || number > line_count()) return {};
  const std::size_t start = line_starts_[static_cast<std::size_t>(number - 1)];
  const std::size_t feed = content_.find('\n', start);
  return std::string_view(content_).substr(
      start, feed == std::string::npos ? std::string_view::npos : feed - start);
}

Span SourceFile::span(std::uint32_t file, int line_number, std::size_t begin,
                      std::size_t end) const {
  const std::string_view text = line(line_number);
  begin = std::min(begin, text.size());
  end = std::clamp(end, begin, text.size());
  return Span{file, line_number, static_cast<int>(count_characters(text.substr(0, begin))) + 1,
              static_cast<int>(count_characters(text.substr(begin, end - begin)))};
}

SourceFile with_tails_hidden(const SourceFile& file, const std::map<int, int>& tails) {
  std::string content;
  content.reserve(file.content().size());
  for (int number = 1; number <= file.line_count(); ++number) {
    const std::string_view line = file.line(number);
    const auto tail = tails.find(number);
    if (tail == tails.end()) {
      content += line;
    } else {
      const std::size_t last = line.find_last_not_of(" \t\r");
      const std::size_t end = last == std::string_view::npos ? 0 : last + 1;
      std::size_t at = 0;
      for (int column = 1; at < end; ++column) {
        const std::size_t size = decode_utf8(line, at).size;
        const bool blank = line[at] == ' ' || line[at] == '\t';
        if (column < tail->second || blank) {
          content += line.substr(at, size);
        } else {
          content += '*';
        }
        at += size;
      }
      content += line.substr(at);
    }
    if (number < file.line_count() || file.ends_with_line_feed()) content += '\n';
  }
  return {file.name(), std::move(content)};
}

}  // namespace nines::text
