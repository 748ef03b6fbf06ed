// A client of the scenarios: asks one thing after the other on connections that it keeps, and holds
// every answer to what was asked.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "http_message.h"
#include "io/loop.h"
#include "web_server.h"

namespace nines::scenarios {

enum class Outcome : std::uint8_t {
  kPending,
  kWhole,      // the answer that was asked for, to the last byte
  kError,      // the proxy's own answer: 5xx or 4xx
  kBroken,     // the connection visibly broke
  kUntouched,  // broken, on a kept connection before any byte of an answer: to be asked again
};

struct Answer {
  Ask ask;
  Outcome outcome = Outcome::kPending;
  int status = 0;
  std::string server;
  Instant asked{}, answered{};  // the client's own clock
  Duration took() const { return answered - asked; }
};

class WebClient final : private io::StreamHandler, private Timer {
 public:
  struct Options {
    int pipeline = 1;         // requests on their way at once
    Duration read_pause{};    // a rest after each read
    Duration think{};         // between an answer and the next request
    Duration upload_pause{};  // between the pieces of an upload
    std::size_t upload_piece = 20000;
    // A reset that the network lost is never heard by who only waits: then this is a broken
    // connection too.
    Duration patience = std::chrono::seconds(40);
    bool one_connection_each = false;
    bool half_close = false;  // our FIN follows the last request
    bool asks_again = false;  // what was kUntouched is asked once more if that is harmless
  };
  WebClient(io::Loop& loop, const SocketAddress& proxy, Options options, const Journal& journal);
  ~WebClient() override;

  void ask(Ask ask);  // in turn
  bool done() const { return pending_ == 0; }
  const std::vector<Answer>& answers() const { return answers_; }
  int connections() const { return connections_; }
  // Breaks the connection, whatever it is doing; what is on its way counts as broken.
  void hang_up(bool reset);
  bool connected() const { return stream_ != nullptr; }
  std::string state() const;                 // for a failure's message
  bool saw_end() const { return saw_end_; }  // the proxy closed the last connection

 private:
  void on_connected(io::Stream&) override;
  void on_data(io::Stream&, io::LentBytes bytes) override;
  void on_end(io::Stream&) override;
  void on_drained(io::Stream&) override;
  void on_failed(io::Stream&, const Error&) override;
  void on_timer(Instant) override;

  class Patience final : public Timer {
   public:
    explicit Patience(WebClient& client) : client_(client) {}
    void on_timer(Instant) override;

   private:
    WebClient& client_;
  };

  void go_on();
  void connect();
  void send_next();
  void send_body();
  void take_answers();
  void take(Message message);
  void settle(Answer& answer, Outcome outcome);
  void lost();

  io::Loop& loop_;
  SocketAddress proxy_;
  Options options_;
  const Journal& journal_;
  std::vector<Answer> answers_;
  std::size_t next_ = 0;            // the first that was not asked
  std::deque<std::size_t> on_way_;  // asked on this connection
  std::size_t pending_ = 0;
  io::Stream* stream_ = nullptr;
  bool ready_ = false;
  bool resting_ = false;  // reading
  bool thinking_ = false;
  bool closing_ = false;  // no further request on this connection
  bool saw_end_ = false;
  std::size_t body_sent_ = 0;
  bool uploading_ = false;
  bool waiting_room_ = false;
  int answered_here_ = 0;
  int connections_ = 0;
  MessageReader reader_{MessageReader::Side::kResponses};
  Patience patience_{*this};
};

}  // namespace nines::scenarios
