// Values as keepalived.conf writes them: "PARAMETER SYNTAX" and "SCRIPTS" of keepalived.conf(5).
#include "vrrp/config_reader.h"

#include <cctype>

#include "text/units.h"

namespace nines::vrrp {

namespace {

constexpr std::size_t kCommandWordsMax = 256;

std::string seconds_text(Duration duration) {
  std::string text = std::to_string(duration.count() / 1'000'000'000);
  const auto fraction = duration.count() % 1'000'000'000 / 1000;
  if (fraction != 0) {
    std::string digits = std::to_string(fraction);
    digits.insert(0, 6 - digits.size(), '0');
    while (digits.back() == '0') digits.pop_back();
    text += "." + digits;
  }
  return text;
}

std::optional<Duration> parse_seconds(std::string_view text) {
  constexpr std::int64_t kSecondsMax = 1'000'000'000;
  const std::size_t point = text.find('.');
  std::string_view whole = text.substr(0, point);
  std::string_view fraction =
      point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  if (whole.empty() && fraction.empty()) return std::nullopt;
  std::int64_t seconds = 0;
  for (const char c : whole) {
    if (!std::isdigit(static_cast<unsigned char>(c))) return std::nullopt;
    seconds = seconds * 10 + (c - '0');
    if (seconds > kSecondsMax) return std::nullopt;
  }
  std::int64_t micros = 0, unit = 100'000;
  for (const char c : fraction) {
    if (!std::isdigit(static_cast<unsigned char>(c))) return std::nullopt;
    micros += (c - '0') * unit;
    unit /= 10;
  }
  return std::chrono::seconds(seconds) + std::chrono::microseconds(micros);
}

}  // namespace

Place Reader::place(const Word& word) const {
  return {files_[word.span.file].name(), word.span.line};
}

void Reader::end(const Statement& statement, std::size_t first) {
  if (statement.words.size() <= first) return;
  warning(statement.words[first], "this is not used; '" + statement.keyword().text +
                                      "' takes no more words, and keepalived ignores them too");
}

const Word* Reader::argument(const Statement& statement) {
  if (statement.words.size() < 2) {
    error(statement.keyword(), "'" + statement.keyword().text + "' wants a value");
    return nullptr;
  }
  end(statement, 2);
  return &statement.words[1];
}

std::optional<bool> Reader::boolean(const Statement& statement, bool alone) {
  if (statement.words.size() < 2) return alone;
  end(statement, 2);
  const Word& word = statement.words[1];
  if (word.text == "on" || word.text == "true" || word.text == "yes") return true;
  if (word.text == "off" || word.text == "false" || word.text == "no") return false;
  error(word, "'" + statement.keyword().text + "' is either on or off")
      .with_found(word.text)
      .with_allowed("on, true, yes, off, false, no");
  return std::nullopt;
}

std::optional<int> Reader::integer(const Word& word, int low, int high) {
  const auto number = text::parse_integer(word.text);
  if (number && *number >= low && *number <= high) return static_cast<int>(*number);
  error(word, number ? "this number is out of range" : "a whole number is wanted")
      .with_found(word.text)
      .with_allowed(std::to_string(low) + " to " + std::to_string(high));
  return std::nullopt;
}

std::optional<int> Reader::integer(const Statement& statement, int low, int high) {
  const Word* const word = argument(statement);
  return word == nullptr ? std::nullopt : integer(*word, low, high);
}

std::optional<Duration> Reader::seconds(const Statement& statement, Duration low, Duration high) {
  const Word* const word = argument(statement);
  if (word == nullptr) return std::nullopt;
  const auto value = parse_seconds(word->text);
  if (value && *value >= low && *value <= high) return value;
  error(*word, value ? "this time is out of range" : "a time in seconds is wanted")
      .with_found(word->text)
      .with_allowed(seconds_text(low) + " to " + seconds_text(high) + " seconds");
  return std::nullopt;
}

std::optional<SocketAddress> Reader::address(const Word& word) {
  auto parsed = SocketAddress::parse_ip(word.text, 0);
  if (parsed && !word.text.starts_with('[')) return *parsed;
  error(word, "this is no IP address").with_found(word.text);
  return std::nullopt;
}

std::vector<std::string> Reader::command_words(const Word& word) {
  std::vector<std::string> words;
  std::string current;
  bool inside = false;
  char quote = 0;
  for (const char c : word.text) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        current += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      inside = true;
    } else if (std::isspace(static_cast<unsigned char>(c))) {
      if (inside) words.push_back(std::move(current));
      current.clear();
      inside = false;
    } else {
      current += c;
      inside = true;
    }
  }
  if (inside) words.push_back(std::move(current));
  if (quote != 0) {
    error(word, "a quote inside this command is never closed");
    return {};
  }
  if (words.empty() || words[0].empty()) {
    error(word, "this command is empty");
    return {};
  }
  if (words.size() > kCommandWordsMax) {
    error(word, "this command has too many words");
    return {};
  }
  return words;
}

std::optional<Command> Reader::notify_command(const Statement& statement) {
  if (statement.words.size() < 2) {
    error(statement.keyword(), "'" + statement.keyword().text + "' wants a command");
    return std::nullopt;
  }
  Command command;
  command.place = place(statement.keyword());
  command.words = command_words(statement.words[1]);
  if (command.words.empty()) return std::nullopt;
  if (statement.words.size() > 2) {
    command.user = statement.words[2].text;
    if (!command.user.empty() && command.user[0] == '-') {
      error(statement.words[2], "behind the command stands the user to run it as")
          .with_found(command.user)
          .with_help("put a command with arguments in quotes");
      return std::nullopt;
    }
  }
  if (statement.words.size() > 3) command.group = statement.words[3].text;
  end(statement, 4);
  return command;
}

}  // namespace nines::vrrp
