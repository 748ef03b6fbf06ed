// Log-format strings as header values, section 8.2.4: text, "%ci" and "%[src]".
#include <algorithm>

#include "proxy/config_draft.h"
#include "proxy/config_sample_names.h"

namespace nines::proxy {
namespace {

using Kind = FormatPiece::Kind;

constexpr std::size_t kPiecesMax = 256;

struct Variable {
  std::string_view name;
  Kind kind;
};

// "%name"; the longest that fits is meant.
constexpr Variable kVariables[] = {
    {"b", Kind::kBackendName},   {"ci", Kind::kClientIp},   {"cp", Kind::kClientPort},
    {"f", Kind::kFrontendName},  {"fi", Kind::kFrontendIp}, {"fp", Kind::kFrontendPort},
    {"ft", Kind::kFrontendName}, {"s", Kind::kServerName},
};

// "%[name]"; "srv_name" is not known yet when a request's rules run, and HAProxy refuses it too.
constexpr Variable kSamples[] = {
    {"src", Kind::kClientIp},         {"src_port", Kind::kClientPort},
    {"dst", Kind::kFrontendIp},       {"dst_port", Kind::kFrontendPort},
    {"fe_name", Kind::kFrontendName}, {"be_name", Kind::kBackendName},
    {"ssl_fc", Kind::kSslFc},
};

// Of section 8.2.4, those that are not offered.
constexpr std::string_view kKnownVariables[] = {
    "B",  "CC", "CS", "H",  "HM", "HP", "HPO",  "HQ",   "HU",  "HV", "ID",  "ST",  "T",   "Ta",
    "Tc", "Td", "Th", "Ti", "Tl", "Tq", "TR",   "Tr",   "Ts",  "Tt", "Tu",  "Tw",  "U",   "ac",
    "bc", "bi", "bp", "bq", "fc", "hr", "hrl",  "hs",   "hsl", "lc", "ms",  "o",   "pid", "r",
    "rc", "rt", "sc", "si", "sp", "sq", "sslc", "sslv", "t",   "tr", "trg", "trl", "ts",  "tsc"};

constexpr std::string_view kAllowed =
    "text, %%, %ci, %cp, %fi, %fp, %f, %b, %s, %[src], %[src_port], %[dst], %[dst_port], "
    "%[fe_name], %[be_name], %[ssl_fc]";

class FormatReader {
 public:
  FormatReader(Statement& statement, const Word& word)
      : statement_(statement), word_(word), text_(word.text) {}

  std::optional<std::vector<FormatPiece>> read() {
    while (at_ < text_.size()) {
      if (pieces_.size() >= kPiecesMax) {
        statement_.error(word_, "too many variables in one value");
        return std::nullopt;
      }
      if (text_[at_] != '%') {
        literal(text_[at_++]);
      } else if (!variable()) {
        return std::nullopt;
      }
    }
    return std::move(pieces_);
  }

 private:
  bool variable() {
    const std::size_t begin = at_++;
    if (at_ >= text_.size())
      return fail(begin, at_, "a lone '%' at the end").with_help("write %%"), false;
    if (text_[at_] == '%') return literal('%'), ++at_, true;
    if (text_[at_] == '[') return sample(begin);
    if (text_[at_] == '{') {
      fail(begin, text_.size(), "flags of variables are not supported by nines")
          .with_allowed(kAllowed);
      return false;
    }
    std::size_t end = at_;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const std::string_view name = text_.substr(at_, end - at_);
    for (const Variable& variable : kVariables) {
      if (variable.name == name) return add(variable.kind, end);
    }
    const bool known = std::find(std::begin(kKnownVariables), std::end(kKnownVariables), name) !=
                       std::end(kKnownVariables);
    fail(begin, std::max(end, begin + 1),
         known ? "this variable is known but not supported by nines" : "unknown variable")
        .with_allowed(kAllowed);
    return false;
  }

  bool sample(std::size_t begin) {
    const std::size_t close = text_.find(']', at_);
    if (close == std::string_view::npos) {
      fail(begin, text_.size(), "this bracket is never closed").with_allowed("%[NAME]");
      return false;
    }
    const std::string_view expression = text_.substr(at_ + 1, close - at_ - 1);
    for (const Variable& known : kSamples) {
      if (known.name == expression) return add(known.kind, close + 1);
    }
    const std::string_view name = expression.substr(0, expression.find_first_of("(,"));
    const bool known = is_known_fetch(name);
    text::Diagnostic& diagnostic =
        fail(at_ + 1, close,
             known ? "this sample is known but not supported by nines" : "unknown sample");
    diagnostic.with_allowed(kAllowed);
    if (!known) add_suggestion(diagnostic, name, fetch_names());
    return false;
  }

  bool add(Kind kind, std::size_t end) {
    pieces_.push_back({kind, {}});
    at_ = end;
    return true;
  }

  void literal(char c) {
    if (pieces_.empty() || pieces_.back().kind != Kind::kLiteral) {
      pieces_.push_back({Kind::kLiteral, {}});
    }
    pieces_.back().literal += c;
  }

  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

  text::Diagnostic& fail(std::size_t begin, std::size_t end, std::string_view message) {
    return statement_.error_at(word_.part(begin, end), message)
        .with_found(text_.substr(begin, end - begin));
  }

  Statement& statement_;
  const Word& word_;
  const std::string_view text_;
  std::size_t at_ = 0;
  std::vector<FormatPiece> pieces_;
};

}  // namespace

std::optional<std::vector<FormatPiece>> parse_format(Statement& statement, const Word& word) {
  return FormatReader(statement, word).read();
}

}  // namespace nines::proxy
