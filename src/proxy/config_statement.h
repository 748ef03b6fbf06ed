// One statement of the configuration and the means to read its words and complain about them.
// Internal to the parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config_words.h"
#include "proxy/proxy_config.h"
#include "text/diagnostics.h"

namespace nines::proxy {

// HAProxy's timers end at 2^31 - 1 ms.
inline constexpr Duration kTimerMax = std::chrono::milliseconds(INT32_MAX);

// A cursor over the words of a statement. words[0] is the keyword; `next` is what take() gives.
class Statement {
 public:
  enum class Prefix : std::uint8_t { kNone, kNo, kDefault };  // "no option x", "default option x"

  Statement(std::span<const Word> words, const std::string& file_name,
            text::Diagnostics& diagnostics)
      : words_(words), file_name_(&file_name), diagnostics_(&diagnostics) {}

  const Word& keyword() const { return words_[keyword_]; }
  // The keywords read so far, as people name them: "option httpchk", "server ... inter".
  std::string name() const;
  // The parameter being read of a statement that has many; must live as long as the words.
  void set_parameter(std::string_view name) { parameter_ = name; }
  Place place() const { return Place{*file_name_, words_[0].span.line}; }
  text::Diagnostics& diagnostics() { return *diagnostics_; }

  Prefix prefix() const { return prefix_; }
  void set_prefix(Prefix prefix) { prefix_ = prefix; }

  bool at_end() const { return next_ >= words_.size(); }
  const Word* peek() const { return at_end() ? nullptr : &words_[next_]; }
  const Word* take() { return at_end() ? nullptr : &words_[next_++]; }
  // The next word becomes part of the keyword: "timeout" then "client".
  void descend() { keyword_ = next_++; }
  bool accept(std::string_view text);
  std::span<const Word> rest() const { return words_.subspan(next_); }
  void skip_rest() { next_ = words_.size(); }

  // Just behind the last word.
  text::Span end_span() const;

  text::Diagnostic& error(const Word& word, std::string_view message);  // names what was found
  text::Diagnostic& warning(const Word& word, std::string_view message);
  text::Diagnostic& error_at(text::Span span, std::string_view message);
  // "NAME wants WHAT", pointing behind the last word.
  text::Diagnostic& error_missing(std::string_view what);

  // Each reads one word, or complains and gives nothing. `what` names it: "a number of retries".
  const Word* take_word(std::string_view what);
  std::optional<std::int64_t> take_integer(std::string_view what, std::int64_t min,
                                           std::int64_t max);
  std::optional<Duration> take_duration(std::string_view what,
                                        Duration default_unit = std::chrono::milliseconds(1),
                                        Duration min = Duration::zero());
  // Complains about each word that is left; true when there is none.
  bool expect_end();

 private:
  std::span<const Word> words_;
  const std::string* file_name_;
  text::Diagnostics* diagnostics_;
  std::size_t keyword_ = 0;
  std::size_t next_ = 1;
  std::string_view parameter_;
  Prefix prefix_ = Prefix::kNone;
};

// "a, b, c".
std::string joined(std::span<const std::string_view> words, std::string_view separator = ", ");

// Adds "did you mean 'x'?" when one of the candidates is near.
void add_suggestion(text::Diagnostic& diagnostic, std::string_view word,
                    std::span<const std::string_view> candidates);

}  // namespace nines::proxy
