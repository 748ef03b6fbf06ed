// What is wrong with the user's text, all of it in one pass, and how to say so: for people with the
// line and a caret beneath, for tools as JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/source.h"

namespace nines::text {

enum class Severity : std::uint8_t { kError, kWarning, kNote };

std::string_view name_of(Severity severity);

struct Diagnostic {
  Severity severity = Severity::kError;
  Span span;
  std::string message;  // what is wrong, in a line
  std::string found;    // what stands there; may be empty
  std::string allowed;  // what may stand there; may be empty
  std::string help;     // what to do; may be empty

  Diagnostic& with_found(std::string_view text);
  Diagnostic& with_allowed(std::string_view text);
  Diagnostic& with_help(std::string_view text);
};

// Collects. Bounded: what does not fit is counted, not kept, so that a hostile text cannot fill the
// memory. Errors are counted even when they are not kept.
class Diagnostics {
 public:
  static constexpr std::size_t kKeptMax = 200;
  static constexpr std::size_t kTextMax = 400;  // bytes of a message, of what was found and so on

  // The reference is valid until the next call.
  Diagnostic& error(Span span, std::string_view message);
  Diagnostic& warning(Span span, std::string_view message);
  Diagnostic& note(Span span, std::string_view message);

  const std::vector<Diagnostic>& all() const { return kept_; }
  std::size_t errors() const { return errors_; }
  std::size_t warnings() const { return warnings_; }
  bool has_errors() const { return errors_ > 0; }
  std::size_t dropped() const { return dropped_; }

  // By file, line and column; those of one place stay in the order they were found.
  void sort();

  // Changes what was collected; the severities must stay as they are.
  void rewrite(const std::function<void(Diagnostic&)>& change);

 private:
  Diagnostic& add(Severity severity, Span span, std::string_view message);

  std::vector<Diagnostic> kept_;
  Diagnostic scratch_;  // what add() hands out once full
  std::size_t errors_ = 0, warnings_ = 0, dropped_ = 0;
};

struct RenderOptions {
  bool color = false;  // ANSI colours, for a terminal
};

// "FILE:LINE:COLUMN: error: MESSAGE", the line, a caret under the span, then "help: ..." and so on.
// `files` are those the spans index; a span outside them is shown without its place.
std::string render_text(const Diagnostics& diagnostics, std::span<const SourceFile> files,
                        RenderOptions options = {});

// {"errors":N,"warnings":N,"dropped":N,"diagnostics":[{"severity":...,"file":...,"line":...},...]}
std::string render_json(const Diagnostics& diagnostics, std::span<const SourceFile> files);

// Appends `text` as a JSON string; bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

}  // namespace nines::text
