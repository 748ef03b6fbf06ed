// The answers every table gives alike.
#include "proxy/config_keyword.h"

#include "text/utf8.h"

namespace nines::proxy {
namespace {

constexpr std::size_t kListedMax = 16;  // more names than this are no help

}  // namespace

void answer_without_handler(Statement& statement, const Word& word, std::string_view name,
                            KeywordSupport support, std::string_view advice, int arguments) {
  const std::string quoted = "'" + std::string(name) + "'";
  switch (support) {
    case KeywordSupport::kHarmless:
      statement.warning(word, quoted + " has no effect in nines").with_help(advice);
      break;
    case KeywordSupport::kRemoved:
      statement.error_at(word.span, quoted + " is no longer part of HAProxy's language")
          .with_help(advice);
      break;
    case KeywordSupport::kSupported:
    case KeywordSupport::kUnsupported:
      statement.error_at(word.span, quoted + " is known but not supported by nines")
          .with_help(advice);
      break;
  }
  if (support == KeywordSupport::kHarmless && arguments != kAllTheRest) {
    for (int i = 0; i < arguments; ++i) statement.take();
  } else {
    statement.skip_rest();
  }
}

void answer_unknown(Statement& statement, const Word& word, std::string_view kind,
                    std::string_view place, std::span<const std::string_view> candidates) {
  text::Diagnostic& diagnostic = statement.error_at(
      word.span, "unknown " + std::string(kind) + " '" + text::printable(word.text) + "'" +
                     (place.empty() ? "" : " in " + std::string(place)));
  if (candidates.size() <= kListedMax) diagnostic.with_allowed(joined(candidates));
  add_suggestion(diagnostic, word.text, candidates);
  statement.skip_rest();
}

}  // namespace nines::proxy
