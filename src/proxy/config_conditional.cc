// Recursive descent, one function a level: or, and, term. Both sides are always parsed, so that a
// mistake shows whatever the first side says.
#include "proxy/config_conditional.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "text/units.h"

namespace nines::proxy {
namespace {

constexpr int kDepthMax = 64;
constexpr std::size_t kArgumentsMax = 2;

// What "haproxy -vv" would list after a '+', as far as this program has it.
constexpr std::array<std::string_view, 4> kFeatures = {"EPOLL", "LINUX_TPROXY", "THREAD", "TPROXY"};

// "2.6-dev3" and "2.6.12" as comparable numbers; a development version precedes its release.
std::optional<std::vector<std::int64_t>> version_numbers(std::string_view text) {
  std::vector<std::int64_t> numbers;
  std::string_view rest = text;
  for (int component = 0; component < 3 && !rest.empty() && rest[0] != '-'; ++component) {
    const std::size_t end = std::min(rest.find_first_of(".-"), rest.size());
    const auto number = text::parse_integer(rest.substr(0, end));
    if (!number.has_value() || *number < 0) return std::nullopt;
    numbers.push_back(*number);
    rest.remove_prefix(end);
    if (!rest.empty() && rest[0] == '.') rest.remove_prefix(1);
  }
  if (numbers.empty()) return std::nullopt;
  numbers.resize(3, 0);
  std::int64_t development = INT64_MAX;
  if (rest.starts_with("-dev")) {
    rest.remove_prefix(4);
    const std::size_t end = std::min(rest.find_first_not_of("0123456789"), rest.size());
    const auto number = text::parse_integer(rest.substr(0, end));
    if (!number.has_value()) return std::nullopt;
    development = *number;
  }
  numbers.push_back(development);
  return numbers;
}

class Evaluator {
 public:
  Evaluator(std::string_view text, const Environment& environment)
      : text_(text), environment_(environment) {}

  ConditionalVerdict run() {
    skip_spaces();
    if (at_ == text_.size()) return {true, false, 0, {}, {}};
    const bool value = any(0);
    skip_spaces();
    if (!verdict_.message.empty()) return verdict_;
    if (at_ < text_.size()) {
      fail(at_, "unexpected text behind the condition");
      return verdict_;
    }
    return {true, value, 0, {}, {}};
  }

 private:
  bool any(int depth) {
    bool value = all(depth);
    while (good() && accept("||")) value = all(depth) || value;
    return value;
  }

  bool all(int depth) {
    bool value = term(depth);
    while (good() && accept("&&")) value = term(depth) && value;
    return value;
  }

  bool term(int depth) {
    if (depth > kDepthMax) return fail(at_, "this condition is nested too deeply");
    if (accept("!")) return !term(depth + 1);
    if (accept("(")) {
      const bool value = any(depth + 1);
      if (good() && !accept(")")) return fail(at_, "a ')' is missing here");
      return value;
    }
    skip_spaces();
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    if (const auto number = text::parse_integer(word); number.has_value()) return *number != 0;
    return predicate(word, begin);
  }

  bool predicate(std::string_view name, std::size_t begin) {
    const bool two = name == "streq" || name == "strneq";
    const bool one = name == "defined" || name == "feature" || name == "version_atleast" ||
                     name == "version_before";
    if (!one && !two) {
      fail(begin, name.empty() ? "a condition is missing here" : "unknown condition");
      verdict_.allowed =
          "an integer, defined(NAME), feature(NAME), streq(A,B), strneq(A,B), "
          "version_atleast(V), version_before(V), with !, &&, || and parentheses";
      return false;
    }
    std::vector<std::string> arguments;
    if (!read_arguments(arguments)) return false;
    if (arguments.size() != (two ? 2u : 1u)) {
      return fail(begin,
                  std::string(name) + "() takes " + (two ? "two arguments" : "one argument"));
    }
    if (name == "defined") return environment_.find(arguments[0]) != environment_.end();
    if (name == "feature") {
      return std::find(kFeatures.begin(), kFeatures.end(), arguments[0]) != kFeatures.end();
    }
    if (name == "streq") return arguments[0] == arguments[1];
    if (name == "strneq") return arguments[0] != arguments[1];
    const auto asked = version_numbers(arguments[0]);
    if (!asked) return fail(begin, "this is not a version");
    const bool at_least = *version_numbers(kHaproxyVersion) >= *asked;
    return name == "version_atleast" ? at_least : !at_least;
  }

  // "(a,b)": quotes and backslashes protect commas and parentheses, section 2.2's second level.
  bool read_arguments(std::vector<std::string>& out) {
    if (at_ >= text_.size() || text_[at_] != '(') return fail(at_, "a '(' is missing here");
    ++at_;
    std::string argument;
    char quote = '\0';
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\\' && quote != '\'' && at_ + 1 < text_.size()) {
        argument += text_[++at_];
      } else if (quote != '\0') {
        if (c == quote) {
          quote = '\0';
        } else {
          argument += c;
        }
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == ',' || c == ')') {
        out.push_back(std::move(argument));
        argument.clear();
        if (out.size() > kArgumentsMax) return fail(at_, "too many arguments");
        if (c == ')') return ++at_, true;
      } else {
        argument += c;
      }
    }
    return fail(at_, "a ')' is missing here");
  }

  static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+';
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool accept(std::string_view token) {
    skip_spaces();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  bool good() const { return verdict_.message.empty(); }
  bool fail(std::size_t position, std::string_view message) {
    if (good()) verdict_.position = position, verdict_.message = std::string(message);
    return false;
  }

  const std::string_view text_;
  const Environment& environment_;
  std::size_t at_ = 0;
  ConditionalVerdict verdict_;
};

}  // namespace

ConditionalVerdict evaluate_conditional(std::string_view expression,
                                        const Environment& environment) {
  return Evaluator(expression, environment).run();
}

}  // namespace nines::proxy
