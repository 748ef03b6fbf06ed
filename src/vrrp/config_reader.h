// What reading a statement needs: complaints with a place, and values of every kind that
// keepalived.conf knows. Each helper complains by itself and then gives nothing. Internal to the
// parser.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/diagnostics.h"
#include "vrrp/config_tree.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

class Reader {
 public:
  Reader(const std::vector<text::SourceFile>& files, text::Diagnostics& diagnostics)
      : files_(files), diagnostics_(diagnostics) {}

  text::Diagnostic& error(const Word& word, std::string_view message) {
    return diagnostics_.error(word.span, message);
  }
  text::Diagnostic& warning(const Word& word, std::string_view message) {
    return diagnostics_.warning(word.span, message);
  }
  // A warning that keepalived's own test of the configuration fails for.
  text::Diagnostic& complaint(const Word& word, std::string_view message) {
    complained_ = true;
    return diagnostics_.warning(word.span, message);
  }
  text::Diagnostic& note(const Word& word, std::string_view message) {
    return diagnostics_.note(word.span, message);
  }
  bool complained() const { return complained_; }

  Place place(const Word& word) const;

  // The first word behind the keyword; surplus ones get a warning, as keepalived ignores them.
  const Word* argument(const Statement& statement);
  // Warns of words from `first` on.
  void end(const Statement& statement, std::size_t first);
  // A statement that is a keyword alone or with on|off|true|false|yes|no; alone it means `alone`.
  std::optional<bool> boolean(const Statement& statement, bool alone = true);
  std::optional<int> integer(const Statement& statement, int low, int high);
  std::optional<int> integer(const Word& word, int low, int high);
  // Seconds with a fraction, down to microseconds.
  std::optional<Duration> seconds(const Statement& statement, Duration low, Duration high);
  std::optional<SocketAddress> address(const Word& word);
  // A command's words: the string is cut at blanks, quotes inside it keep a word together.
  std::vector<std::string> command_words(const Word& word);
  // "COMMAND [user [group]]" behind the keyword.
  std::optional<Command> notify_command(const Statement& statement);

 private:
  const std::vector<text::SourceFile>& files_;
  text::Diagnostics& diagnostics_;
  bool complained_ = false;
};

}  // namespace nines::vrrp
