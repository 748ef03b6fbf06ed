// The "advanced configuration" of keepalived.conf(5): everything that happens to lines before their
// words are looked at, in keepalived's own order: condition, include, definition, substitution,
// sequence.
#include "vrrp/config_lines.h"

#include <cctype>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "text/units.h"

namespace nines::vrrp {

namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The length of a definition's name at the start of `text`; 0 when there is none.
std::size_t name_length(std::string_view text) {
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0]))) return 0;
  std::size_t length = 0;
  while (length < text.size() && is_name_character(text[length])) ++length;
  return length;
}

// Where a comment begins outside of quotes; the text's size when there is none.
std::size_t comment_start(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != 0) {
      ++i;
    } else if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#' || c == '!') {
      return i;
    }
  }
  return text.size();
}

bool is_include(std::string_view word) {
  return word == "include" || word == "includer" || word == "includem" || word == "includew" ||
         word == "includeb" || word == "includea";
}

class Expander {
 public:
  Expander(std::vector<text::SourceFile>& files, const Environment& environment,
           text::Diagnostics& diagnostics)
      : files_(files), environment_(environment), diagnostics_(diagnostics) {}

  void read_file(std::uint32_t file, std::size_t depth) {
    const int count = files_[file].line_count();
    for (int number = 1; number <= count && !full_; ++number) {
      Line line;
      line.file = file;
      line.number = number;
      line.text = std::string(files_[file].line(number));
      if (line.text.size() > kLineBytesMax) {
        diagnostics_.error(place(line), "this line is too long");
        continue;
      }
      // A definition goes on where its line ends with a backslash.
      if (starts_definition(line.text)) {
        while (trimmed(line.text).ends_with('\\') && number < count &&
               line.text.size() <= kLineBytesMax) {
          line.text.resize(line.text.find_last_of('\\'));
          line.text += '\n';
          line.text += files_[file].line(++number);
        }
      }
      read_line(std::move(line), depth, 0);
    }
  }

  std::vector<Line> take() { return std::move(lines_); }

 private:
  text::Span place(const Line& line) const {
    const text::SourceFile& source = files_[line.file];
    const std::string_view whole = source.line(line.number);
    const std::size_t first = whole.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return source.span(line.file, line.number, 0, 0);
    return source.span(line.file, line.number, first, whole.find_last_not_of(kBlanks) + 1);
  }

  bool starts_definition(std::string_view line) const {
    std::string_view rest = trimmed(line);
    if (rest.starts_with('@')) {
      const std::size_t blank = rest.find_first_of(kBlanks);
      if (blank == std::string_view::npos) return false;
      rest = trimmed(rest.substr(blank));
    }
    if (!rest.starts_with('$')) return false;
    const std::size_t length = name_length(rest.substr(1));
    return length > 0 && rest.size() > length + 1 && rest[length + 1] == '=';
  }

  void cut_front(Line& line, std::size_t count) {
    line.offset += count;
    line.text.erase(0, count);
  }

  void read_line(Line line, std::size_t include_depth, int depth) {
    if (full_) return;
    if (depth > kExpansionDepthMax) {
      diagnostics_.error(place(line), "definitions and sequences are nested too deeply here")
          .with_help("a definition that names itself never ends");
      return;
    }
    const std::size_t first = line.text.find_first_not_of(kBlanks);
    if (first == std::string::npos) return;
    if (line.text[first] == '@') {
      if (!condition_holds(line, first)) return;
    }
    if (define(line)) return;
    if (read_include(line, include_depth)) return;
    substitute(line);
    // What the values brought: several lines, conditions, further definitions.
    if (const std::size_t feed = line.text.find('\n'); feed != std::string::npos) {
      read_lines_of(line, include_depth, depth);
      return;
    }
    const std::string_view text = trimmed(line.text);
    if (!line.verbatim && (text.starts_with('@') || starts_definition(text))) {
      read_line(std::move(line), include_depth, depth + 1);
      return;
    }
    if (text.starts_with('~')) {
      read_sequence(line, include_depth, depth);
      return;
    }
    keep(std::move(line));
  }

  void keep(Line line) {
    bytes_ += line.text.size();
    if (lines_.size() >= kLinesMax || bytes_ > kExpandedBytesMax) {
      diagnostics_.error(place(line), "the configuration is too large once it is expanded");
      full_ = true;
      return;
    }
    lines_.push_back(std::move(line));
  }

  void read_lines_of(const Line& line, std::size_t include_depth, int depth) {
    std::size_t begin = 0;
    while (begin <= line.text.size() && !full_) {
      std::size_t end = line.text.find('\n', begin);
      if (end == std::string::npos) end = line.text.size();
      Line part = line;
      part.text = line.text.substr(begin, end - begin);
      part.verbatim = false;
      if (trimmed(part.text).ends_with('\\')) part.text.resize(part.text.find_last_of('\\'));
      read_line(std::move(part), include_depth, depth + 1);
      begin = end + 1;
    }
  }

  // "@id" and "@^id" in front of a line; cuts them off.
  bool condition_holds(Line& line, std::size_t first) {
    std::size_t end = line.text.find_first_of(kBlanks, first);
    if (end == std::string::npos) end = line.text.size();
    std::string_view id = std::string_view(line.text).substr(first + 1, end - first - 1);
    const bool negated = id.starts_with('^');
    if (negated) id.remove_prefix(1);
    const bool holds = (id == environment_.config_id) != negated;
    cut_front(line, end);
    return holds && line.text.find_first_not_of(kBlanks) != std::string::npos;
  }

  bool define(const Line& line) {
    if (!starts_definition(line.text)) return false;
    const std::string_view text = trimmed(line.text);
    const std::size_t length = name_length(text.substr(1));
    std::string value(text.substr(length + 2));
    if (value.find('\n') == std::string::npos) {
      value = std::string(trimmed(std::string_view(value).substr(0, comment_start(value))));
    }
    const std::string name(text.substr(1, length));
    if (name.starts_with('_')) {
      diagnostics_.warning(place(line), "definitions that begin with '_' are keepalived's own")
          .with_found(name);
    }
    definitions_.insert_or_assign(name, std::move(value));
    return true;
  }

  bool read_include(const Line& line, std::size_t depth) {
    std::string_view text = trimmed(line.text);
    const std::size_t blank = text.find_first_of(kBlanks);
    const std::string_view word = text.substr(0, blank);
    if (!is_include(word)) return false;
    if (blank != std::string_view::npos) {
      text = trimmed(text.substr(blank));
      text = trimmed(text.substr(0, comment_start(text)));
    } else {
      text = {};
    }
    if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
        text.back() == text.front()) {
      text = text.substr(1, text.size() - 2);
    }
    if (text.empty()) {
      diagnostics_.error(place(line), "include names no file");
      return true;
    }
    if (depth + 1 > kIncludeDepthMax || files_.size() >= kFilesMax) {
      diagnostics_.error(place(line), "files include one another too deeply, or there are too many")
          .with_help("does a file include itself?");
      full_ = true;
      return true;
    }
    if (!environment_.include) {
      diagnostics_.error(place(line), "files cannot be included here");
      return true;
    }
    auto included = environment_.include(text, files_[line.file].name());
    if (!included) {
      diagnostics_.error(place(line), "the included file cannot be read")
          .with_found(included.error().message());
      return true;
    }
    if (included->empty()) {
      // keepalived says nothing for "include" and complains for the stricter forms.
      if (word == "include" || word == "includer") {
        diagnostics_.warning(place(line), "no file matches this include").with_found(text);
      } else {
        diagnostics_.error(place(line), "no file matches this include").with_found(text);
      }
      return true;
    }
    for (text::SourceFile& source : *included) {
      if (files_.size() >= kFilesMax || full_) break;
      files_.push_back(std::move(source));
      read_file(static_cast<std::uint32_t>(files_.size() - 1), depth + 1);
    }
    return true;
  }

  std::optional<std::string> value_of(std::string_view name, const Line& line) const {
    const auto found = definitions_.find(name);
    if (found != definitions_.end()) return found->second;
    if (name == "_INSTANCE") return environment_.config_id;
    if (name == "_HASH") return std::string(1, kHashMark);
    if (name == "_BANG") return std::string(1, kBangMark);
    if (name == "_PWD") {
      const std::string& file = files_[line.file].name();
      const std::size_t slash = file.find_last_of('/');
      return slash == std::string::npos ? "." : file.substr(0, slash);
    }
    return std::nullopt;
  }

  // ${NAME}, and $NAME before a blank or the end. What is not defined stays as it stands.
  void substitute(Line& line) {
    int substitutions = 0;
    std::size_t at = 0;
    while ((at = line.text.find('$', at)) != std::string::npos) {
      const std::string_view rest = std::string_view(line.text).substr(at + 1);
      const bool braces = rest.starts_with('{');
      const std::size_t length = name_length(rest.substr(braces ? 1 : 0));
      const std::size_t end = at + 1 + length + (braces ? 1 : 0);
      const char behind = end < line.text.size() ? line.text[end] : ' ';
      const bool complete =
          braces ? behind == '}' : kBlanks.find(behind) != std::string_view::npos || behind == '\n';
      if (length == 0 || !complete) {
        if (rest.starts_with("{_RANDOM")) {
          diagnostics_.error(place(line), "${_RANDOM} is not supported")
              .with_help("a configuration that differs at each start cannot be checked");
        }
        ++at;
        continue;
      }
      const std::string name(rest.substr(braces ? 1 : 0, length));
      if (name == "_RANDOM") {
        diagnostics_.error(place(line), "${_RANDOM} is not supported")
            .with_help("a configuration that differs at each start cannot be checked");
        at = end;
        continue;
      }
      const auto value = value_of(name, line);
      if (!value) {
        at = end;
        continue;
      }
      if (++substitutions > kSubstitutionsMax || line.text.size() > kLineBytesMax) {
        diagnostics_.error(place(line), "a definition names itself, or grows without end")
            .with_found(name);
        line.text.clear();
        return;
      }
      line.text.replace(at, end + (braces ? 1 : 0) - at, *value);
      line.verbatim = false;
    }
  }

  // "~SEQ(name, start, step, end) REST": REST for each value of ${name}.
  void read_sequence(const Line& line, std::size_t include_depth, int depth) {
    const std::string_view text = trimmed(line.text);
    const bool hexadecimal = text.starts_with("~SEQx(");
    const std::size_t close = text.find(')');
    if ((!hexadecimal && !text.starts_with("~SEQ(")) || close == std::string_view::npos) {
      diagnostics_.error(place(line), "this kind of list is not supported")
          .with_allowed("~SEQ(name, start, step, end) ... and ~SEQx(...)")
          .with_help("write the lines out");
      return;
    }
    std::vector<std::string_view> arguments;
    std::string_view list = text.substr(hexadecimal ? 6 : 5, close - (hexadecimal ? 6 : 5));
    for (;;) {
      const std::size_t comma = list.find(',');
      arguments.push_back(trimmed(list.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      list.remove_prefix(comma + 1);
    }
    std::vector<std::int64_t> numbers;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
      const auto number = sequence_number(arguments[i]);
      if (!number) break;
      numbers.push_back(*number);
    }
    const bool named = name_length(arguments[0]) == arguments[0].size() && !arguments[0].empty();
    if (!named || numbers.empty() || numbers.size() > 3 || numbers.size() + 1 != arguments.size()) {
      diagnostics_.error(place(line), "a sequence wants a name and one to three numbers")
          .with_allowed("~SEQ(name, start, step, end)");
      return;
    }
    const std::int64_t end = numbers.back();
    const std::int64_t start = numbers.size() > 1 ? numbers[0] : (end < 0 ? -1 : 1);
    const std::int64_t step = numbers.size() > 2 ? numbers[1] : (end < start ? -1 : 1);
    if (step == 0) {
      diagnostics_.error(place(line), "a sequence with step 0 never ends");
      return;
    }
    const std::string name(arguments[0]);
    const std::string rest(text.substr(close + 1));
    for (std::int64_t value = start; (step > 0 ? value <= end : value >= end) && !full_;
         value += step) {
      definitions_.insert_or_assign(name, hexadecimal ? hex(value) : std::to_string(value));
      Line part = line;
      part.text = rest;
      part.verbatim = false;
      // Sequences of sequences that give nothing must end as well.
      if (++repetitions_ > kLinesMax) {
        diagnostics_.error(place(line), "the configuration is too large once it is expanded");
        full_ = true;
        return;
      }
      read_line(std::move(part), include_depth, depth + 1);
    }
    definitions_.erase(name);
  }

  static std::string hex(std::int64_t value) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    std::uint64_t left =
        value < 0 ? static_cast<std::uint64_t>(-value) : static_cast<std::uint64_t>(value);
    do {
      out.insert(out.begin(), kDigits[left % 16]);
      left /= 16;
    } while (left != 0);
    if (value < 0) out.insert(out.begin(), '-');
    return out;
  }

  static std::optional<std::int64_t> sequence_number(std::string_view text) {
    constexpr std::int64_t kMax = 1'000'000;
    bool negative = false;
    if (text.starts_with('-')) {
      negative = true;
      text.remove_prefix(1);
    }
    std::int64_t value = 0;
    if (text.starts_with("0x")) {
      text.remove_prefix(2);
      if (text.empty() || text.size() > 5) return std::nullopt;
      for (const char c : text) {
        if (!std::isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
        const int digit = std::isdigit(static_cast<unsigned char>(c))
                              ? c - '0'
                              : std::tolower(static_cast<unsigned char>(c)) - 'a' + 10;
        value = value * 16 + digit;
      }
    } else {
      if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0]))) return std::nullopt;
      const auto number = text::parse_integer(text);
      if (!number) return std::nullopt;
      value = *number;
    }
    if (value > kMax) return std::nullopt;
    return negative ? -value : value;
  }

  std::vector<text::SourceFile>& files_;
  const Environment& environment_;
  text::Diagnostics& diagnostics_;
  std::map<std::string, std::string, std::less<>> definitions_;
  std::vector<Line> lines_;
  std::size_t bytes_ = 0, repetitions_ = 0;
  bool full_ = false;
};

}  // namespace

text::Span Line::span(const std::vector<text::SourceFile>& files, std::size_t begin,
                      std::size_t end) const {
  const text::SourceFile& source = files[file];
  if (verbatim) return source.span(file, number, offset + begin, offset + end);
  const std::string_view whole = source.line(number);
  const std::size_t first = whole.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return source.span(file, number, 0, 0);
  return source.span(file, number, first, whole.find_last_not_of(kBlanks) + 1);
}

std::vector<Line> expand_lines(std::vector<text::SourceFile>& files, const Environment& environment,
                               text::Diagnostics& diagnostics) {
  Expander expander(files, environment, diagnostics);
  expander.read_file(0, 0);
  return expander.take();
}

}  // namespace nines::vrrp
