// The collector and its two renderers. All that came from the user's text is made printable before
// it is shown.
#include "text/diagnostics.h"

#include <algorithm>
#include <tuple>

#include "base/stable_sort.h"
#include "text/utf8.h"

namespace nines::text {
namespace {

// Of a long line, only a window around the span is shown.
constexpr int kShownColumnsMax = 160;
constexpr int kShownBefore = 60;
constexpr int kTabWidth = 8;

std::string clipped(std::string_view text) {
  if (text.size() <= Diagnostics::kTextMax) return std::string(text);
  std::size_t end = Diagnostics::kTextMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

struct Colors {
  std::string_view bold, error, warning, note, caret, off;
};
constexpr Colors kPlain{};
constexpr Colors kAnsi{"\033[1m",    "\033[1;31m", "\033[1;35m",
                       "\033[1;36m", "\033[1;32m", "\033[0m"};

std::string_view color_of(const Colors& colors, Severity severity) {
  switch (severity) {
    case Severity::kError:
      return colors.error;
    case Severity::kWarning:
      return colors.warning;
    case Severity::kNote:
      return colors.note;
  }
  return {};
}

// The source line as a terminal shows it, and the line with the caret beneath.
struct Excerpt {
  std::string line, marks;
};

Excerpt excerpt_of(std::string_view text, const Span& span) {
  Excerpt out;
  const int first_shown = std::max(1, span.column - kShownBefore);
  const int span_end = span.column + std::max(span.length, 1);
  int column = 1;  // in characters, as spans count
  int shown = 0;   // in terminal columns
  bool clipped_end = false;
  if (first_shown > 1) out.line = "...", out.marks = "   ", shown = 3;
  for (std::size_t i = 0; i < text.size(); ++column) {
    const DecodedCharacter character = decode_utf8(text, i);
    const std::string_view bytes = text.substr(i, character.size);
    i += character.size;
    if (column < first_shown) continue;
    if (shown >= kShownColumnsMax) {
      clipped_end = true;
      break;
    }
    int width = 0;
    if (character.code == '\t') {
      width = kTabWidth - shown % kTabWidth;
      out.line.append(static_cast<std::size_t>(width), ' ');
    } else if (!character.valid || character.code < 0x20 ||
               (character.code >= 0x7F && character.code < 0xA0)) {
      width = 1;
      out.line += "\xEF\xBF\xBD";
    } else {
      width = display_width(character.code);
      out.line += bytes;
    }
    const bool marked = column >= span.column && column < span_end;
    const std::size_t from = out.marks.size();
    out.marks.append(static_cast<std::size_t>(width), marked ? '~' : ' ');
    if (column == span.column && width > 0) out.marks[from] = '^';
    shown += width;
  }
  if (clipped_end) out.line += "...";
  // A span at the end of the line points just behind it.
  if (span.column >= column && !clipped_end) out.marks += '^';
  while (!out.marks.empty() && out.marks.back() == ' ') out.marks.pop_back();
  return out;
}

void append_detail(std::string& out, std::string_view label, const std::string& text) {
  if (text.empty()) return;
  out.append("  ").append(label).append(": ").append(printable(text)).append("\n");
}

void append_text(std::string& out, const Diagnostic& diagnostic, std::span<const SourceFile> files,
                 const Colors& colors) {
  const Span& span = diagnostic.span;
  const SourceFile* file = span.file < files.size() ? &files[span.file] : nullptr;
  out += colors.bold;
  if (file != nullptr) {
    out += printable(file->name());
    if (span.line > 0) {
      out += ':' + std::to_string(span.line);
      if (span.column > 0) out += ':' + std::to_string(span.column);
    }
    out += ": ";
  }
  out += colors.off;
  out += color_of(colors, diagnostic.severity);
  out += name_of(diagnostic.severity);
  out += ": ";
  out += colors.off;
  out += printable(diagnostic.message);
  out += '\n';
  if (file != nullptr && span.line > 0 && span.line <= file->line_count()) {
    const Excerpt excerpt = excerpt_of(file->line(span.line), span);
    out += "  " + excerpt.line + '\n';
    if (span.column > 0) {
      out += "  ";
      out += colors.caret;
      out += excerpt.marks;
      out += colors.off;
      out += '\n';
    }
  }
  append_detail(out, "found", diagnostic.found);
  append_detail(out, "allowed", diagnostic.allowed);
  append_detail(out, "help", diagnostic.help);
}

void append_json_field(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out += ',';
  append_json_string(out, name);
  out += ':';
  append_json_string(out, value);
}

}  // namespace

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "error";
    case Severity::kWarning:
      return "warning";
    case Severity::kNote:
      return "note";
  }
  return "";
}

Diagnostic& Diagnostic::with_found(std::string_view text) {
  found = clipped(text);
  return *this;
}
Diagnostic& Diagnostic::with_allowed(std::string_view text) {
  allowed = clipped(text);
  return *this;
}
Diagnostic& Diagnostic::with_help(std::string_view text) {
  help = clipped(text);
  return *this;
}

Diagnostic& Diagnostics::error(Span span, std::string_view message) {
  ++errors_;
  return add(Severity::kError, span, message);
}
Diagnostic& Diagnostics::warning(Span span, std::string_view message) {
  ++warnings_;
  return add(Severity::kWarning, span, message);
}
Diagnostic& Diagnostics::note(Span span, std::string_view message) {
  return add(Severity::kNote, span, message);
}

Diagnostic& Diagnostics::add(Severity severity, Span span, std::string_view message) {
  if (kept_.size() >= kKeptMax) {
    ++dropped_;
    scratch_ = {};
    return scratch_;
  }
  kept_.push_back(Diagnostic{severity, span, clipped(message), {}, {}, {}});
  return kept_.back();
}

void Diagnostics::sort() {
  sort_stably(kept_, [](const Diagnostic& left, const Diagnostic& right) {
    const Span &one = left.span, &other = right.span;
    return std::tie(one.file, one.line, one.column) <
           std::tie(other.file, other.line, other.column);
  });
}

void Diagnostics::rewrite(const std::function<void(Diagnostic&)>& change) {
  for (Diagnostic& diagnostic : kept_) change(diagnostic);
}

std::string render_text(const Diagnostics& diagnostics, std::span<const SourceFile> files,
                        RenderOptions options) {
  const Colors& colors = options.color ? kAnsi : kPlain;
  std::string out;
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    append_text(out, diagnostic, files, colors);
  }
  if (diagnostics.dropped() > 0) {
    out += "and " + std::to_string(diagnostics.dropped()) + " more\n";
  }
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const DecodedCharacter character = decode_utf8(text, i);
    const std::string_view bytes = text.substr(i, character.size);
    i += character.size;
    if (!character.valid) {
      out += "\xEF\xBF\xBD";
    } else if (character.code == '"' || character.code == '\\') {
      out += '\\';
      out += bytes;
    } else if (character.code == '\n') {
      out += "\\n";
    } else if (character.code == '\t') {
      out += "\\t";
    } else if (character.code < 0x20 || character.code == 0x7F) {
      out += "\\u00";
      out += kHex[character.code >> 4];
      out += kHex[character.code & 15];
    } else {
      out += bytes;
    }
  }
  out += '"';
}

std::string render_json(const Diagnostics& diagnostics, std::span<const SourceFile> files) {
  std::string out = "{\"errors\":" + std::to_string(diagnostics.errors()) +
                    ",\"warnings\":" + std::to_string(diagnostics.warnings()) +
                    ",\"dropped\":" + std::to_string(diagnostics.dropped()) + ",\"diagnostics\":[";
  bool first = true;
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    if (!first) out += ',';
    first = false;
    out += "{\"severity\":";
    append_json_string(out, name_of(diagnostic.severity));
    const Span& span = diagnostic.span;
    if (span.file < files.size()) append_json_field(out, "file", files[span.file].name());
    out += ",\"line\":" + std::to_string(span.line) + ",\"column\":" + std::to_string(span.column) +
           ",\"length\":" + std::to_string(span.length);
    append_json_field(out, "message", diagnostic.message);
    append_json_field(out, "found", diagnostic.found);
    append_json_field(out, "allowed", diagnostic.allowed);
    append_json_field(out, "help", diagnostic.help);
    out += '}';
  }
  out += "]}\n";
  return out;
}

}  // namespace nines::text
