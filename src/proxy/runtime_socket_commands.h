// The commands of the runtime socket: one command line in, one answer out, over the Control of a
// running proxy. Names, levels and wording of refusals are HAProxy 2.6's (management guide, section
// 9.3), since scripts match on them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "proxy/control.h"
#include "proxy/session_log.h"

namespace nines::proxy {

// What outlives a command of one connection.
struct RuntimeClient {
  SocketLevel level = SocketLevel::kOperator;  // may be lowered, never raised
  Duration timeout = std::chrono::seconds(10);
  bool prompt = false;
  DateText::UtcOffset utc_offset = [](WallTime) { return std::chrono::seconds(0); };
};

// The rest of a long answer, a piece at a time, so that it need not be in memory at once.
class AnswerPieces {
 public:
  virtual ~AnswerPieces() = default;
  // Appends the next piece, some kilobytes at most; false when that was the last one.
  virtual bool append_next(std::string& out) = 0;
};

struct Answer {
  std::string text;                      // all of it, or what comes before the pieces
  std::unique_ptr<AnswerPieces> pieces;  // may be null
  // When set, the answer is what this makes of the list that Control::list_sessions() gives.
  std::function<std::string(const std::vector<SessionInfo>&)> of_sessions;
  bool quit = false;  // end the connection, without an empty line
  bool last = false;  // end it behind this answer: what follows is no command
};

inline constexpr std::size_t kRuntimeWordsMax = 64;  // further words of a command are ignored
inline constexpr Duration kRuntimeTimeoutMax = std::chrono::hours(24);

// Runs one command. Does what it asks through `control`, at once.
Answer run_runtime_command(std::string_view line, RuntimeClient& client, Control& control);

// A line's commands: split at ";" that no backslash precedes.
std::vector<std::string_view> split_runtime_commands(std::string_view line);
// A command's words: split at spaces and tabs; a backslash takes the next byte as it is.
std::vector<std::string> split_runtime_words(std::string_view command);

}  // namespace nines::proxy
