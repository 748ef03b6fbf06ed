// Reading words and complaining, so that each keyword's handler stays a few lines.
#include "proxy/config_statement.h"

#include "text/suggest.h"
#include "text/units.h"
#include "text/utf8.h"

namespace nines::proxy {

std::string Statement::name() const {
  std::string out;
  for (std::size_t i = 0; i <= keyword_; ++i) {
    if (!out.empty()) out += ' ';
    out += words_[i].text;
  }
  if (!parameter_.empty()) out.append(" ... ").append(parameter_);
  return text::printable(out);
}

bool Statement::accept(std::string_view text) {
  if (at_end() || words_[next_].text != text) return false;
  ++next_;
  return true;
}

text::Span Statement::end_span() const {
  const text::Span& last = words_.back().span;
  return text::Span{last.file, last.line, last.column + last.length, 0};
}

text::Diagnostic& Statement::error(const Word& word, std::string_view message) {
  return diagnostics_->error(word.span, message).with_found(word.text);
}
text::Diagnostic& Statement::warning(const Word& word, std::string_view message) {
  return diagnostics_->warning(word.span, message);
}
text::Diagnostic& Statement::error_at(text::Span span, std::string_view message) {
  return diagnostics_->error(span, message);
}
text::Diagnostic& Statement::error_missing(std::string_view what) {
  return diagnostics_->error(end_span(), "'" + name() + "' wants " + std::string(what));
}

const Word* Statement::take_word(std::string_view what) {
  if (const Word* word = take(); word != nullptr && !word->text.empty()) return word;
  error_missing(what);
  return nullptr;
}

std::optional<std::int64_t> Statement::take_integer(std::string_view what, std::int64_t min,
                                                    std::int64_t max) {
  const Word* word = take_word(what);
  if (word == nullptr) return std::nullopt;
  const auto value = text::parse_integer(word->text);
  if (value.has_value() && *value >= min && *value <= max) return *value;
  error(*word, "'" + name() + "' wants " + std::string(what))
      .with_allowed("a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  return std::nullopt;
}

std::optional<Duration> Statement::take_duration(std::string_view what, Duration default_unit,
                                                 Duration min) {
  const Word* word = take_word(what);
  if (word == nullptr) return std::nullopt;
  const auto value = text::parse_duration(word->text, default_unit);
  if (!value.has_value()) {
    error(*word, "'" + name() + "' wants " + std::string(what) + ": " + value.error().message())
        .with_allowed("a number and us, ms (the default), s, m, h or d");
    return std::nullopt;
  }
  if (*value > kTimerMax || *value < min) {
    error(*word, "'" + name() + "' wants " + std::string(what) + " within its range")
        .with_allowed((min > Duration::zero() ? "1us" : "0") +
                      std::string(" to 2147483647ms (24.8 days)"));
    return std::nullopt;
  }
  return *value;
}

bool Statement::expect_end() {
  if (at_end()) return true;
  error(*peek(), "'" + name() + "' takes nothing more here");
  return false;
}

std::string joined(std::span<const std::string_view> words, std::string_view separator) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += separator;
    out += word;
  }
  return out;
}

void add_suggestion(text::Diagnostic& diagnostic, std::string_view word,
                    std::span<const std::string_view> candidates) {
  if (const auto near = text::suggest(word, candidates)) {
    diagnostic.with_help("did you mean '" + std::string(*near) + "'?");
  }
}

}  // namespace nines::proxy
