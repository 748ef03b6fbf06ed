// One connection of the runtime socket as a machine: bytes in, commands found and run in their
// order, bytes out in bounded portions. HAProxy management guide, section 9.3.
//
// The driver's duties:
//  - receive() what comes and end() on the client's FIN; read no more while wants_input() is false.
//  - produce() and send, one portion at a time, each only once the one before is with the kernel.
//  - When wants_sessions() turns true: Control::list_sessions(), then sessions_came() with its
//    result; produce() gives nothing until then.
//  - Close once finished() and everything produced is sent; also after client().timeout in silence.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/control.h"
#include "proxy/runtime_socket_commands.h"

namespace nines::proxy {

class RuntimeSocket {
 public:
  static constexpr std::size_t kLineMax =
      16384;  // bytes of a line; a longer one ends the connection

  // `control` must outlive it.
  RuntimeSocket(Control& control, RuntimeClient client)
      : control_(control), client_(std::move(client)) {}

  void receive(std::string_view bytes);
  void end() { ended_ = true; }

  // Runs what has come and appends to `out` until it holds `portion` bytes (one piece more at
  // most), everything is answered, or sessions are waited for.
  void produce(std::string& out, std::size_t portion);

  bool wants_input() const { return !busy() && !closing_ && !ended_; }
  bool wants_sessions() const { return of_sessions_ != nullptr && !sessions_asked_; }
  // Call once list_sessions() was called, so that it is not asked for twice.
  void sessions_asked() { sessions_asked_ = true; }
  void sessions_came(const std::vector<SessionInfo>& sessions);

  // Nothing more will be produced.
  bool finished() const;
  const RuntimeClient& client() const { return client_; }

 private:
  bool busy() const {
    return !commands_.empty() || pieces_ != nullptr || of_sessions_ != nullptr || !ready_.empty() ||
           input_.find('\n', taken_) != std::string::npos;
  }
  bool take_line();
  void begin_command(std::string& out);
  void end_answer(std::string& out);

  Control& control_;
  RuntimeClient client_;
  std::string input_;                 // what came
  std::size_t taken_ = 0;             // bytes of it that are commands by now
  std::deque<std::string> commands_;  // of the line being answered
  std::unique_ptr<AnswerPieces> pieces_;
  std::function<std::string(const std::vector<SessionInfo>&)> of_sessions_;
  std::string ready_;  // an answer that sessions_came() made
  bool sessions_asked_ = false;
  bool answer_ends_ = false;  // the connection ends behind the answer being given
  bool ended_ = false;        // the client sends no more
  bool closing_ = false;      // nothing more is run
  bool answered_ = false;     // a line was, which is all that a client without prompt may send
};

}  // namespace nines::proxy
