// A line holds commands joined by ";". Their answers come in order, each with an empty line behind
// it and, with a prompt, "> ". Without a prompt the connection ends when what has come is answered.
#include "proxy/runtime_socket.h"

#include <algorithm>
#include <utility>

namespace nines::proxy {

void RuntimeSocket::receive(std::string_view bytes) {
  if (closing_) return;
  input_.erase(0, std::exchange(taken_, 0));
  input_ += bytes;
}

void RuntimeSocket::produce(std::string& out, std::size_t portion) {
  while (out.size() < portion && !closing_) {
    if (!ready_.empty()) {
      const std::size_t count = std::min(ready_.size(), portion - out.size());
      out.append(ready_, 0, count);
      ready_.erase(0, count);
      if (ready_.empty()) end_answer(out);
    } else if (pieces_ != nullptr) {
      if (!pieces_->append_next(out)) {
        pieces_ = nullptr;
        out += '\n';
        end_answer(out);
      }
    } else if (of_sessions_ != nullptr) {
      return;
    } else if (!commands_.empty()) {
      begin_command(out);
    } else if (!take_line()) {
      if (input_.size() - taken_ > kLineMax) {
        out += "A line has " + std::to_string(kLineMax) + " bytes at most.\n\n";
        closing_ = true;
      }
      return;
    }
  }
}

void RuntimeSocket::sessions_came(const std::vector<SessionInfo>& sessions) {
  if (of_sessions_ == nullptr) return;
  ready_ = std::exchange(of_sessions_, nullptr)(sessions);
  sessions_asked_ = false;
  ready_ += '\n';  // which makes an empty list an answer too
}

bool RuntimeSocket::finished() const {
  if (closing_) return true;
  if (busy()) return false;
  return ended_ || (answered_ && !client_.prompt);
}

// A line that the end of input cut off is dropped: it may be the beginning of another command.
bool RuntimeSocket::take_line() {
  const std::size_t end = input_.find('\n', taken_);
  if (end == std::string::npos || end - taken_ > kLineMax) return false;
  std::string_view line = std::string_view(input_).substr(taken_, end - taken_);
  if (line.ends_with('\r')) line.remove_suffix(1);
  for (const std::string_view command : split_runtime_commands(line)) {
    commands_.emplace_back(command);
  }
  taken_ = end + 1;
  answered_ = true;
  return true;
}

void RuntimeSocket::begin_command(std::string& out) {
  const std::string command = std::move(commands_.front());
  commands_.pop_front();
  Answer answer = run_runtime_command(command, client_, control_);
  if (answer.quit) {
    closing_ = true;
    return;
  }
  answer_ends_ = answer.last;
  out += answer.text;
  if (answer.of_sessions) {
    of_sessions_ = std::move(answer.of_sessions);
    sessions_asked_ = false;
  } else if (answer.pieces) {
    pieces_ = std::move(answer.pieces);
  } else {
    out += '\n';
    end_answer(out);
  }
}

void RuntimeSocket::end_answer(std::string& out) {
  if (client_.prompt) out += "> ";
  if (answer_ends_) closing_ = true;
}

}  // namespace nines::proxy
