// An HTTP session: one client connection and its requests, one after the other. Heads are parsed
// and edited, bodies pass through; the life of a request is told in
// docs/internals/life-of-a-request.md.
#pragma once

#include <string>
#include <string_view>

#include "http/chunked.h"
#include "http/message.h"
#include "proxy/header_rules.h"
#include "proxy/session.h"

namespace nines::proxy {

class HttpSession final : public Session {
 public:
  HttpSession(Worker& worker, io::Stream& client, std::shared_ptr<WorkerGeneration> generation,
              int frontend);

  void start();
  SessionInfo info() const override;
  void kill(char cause) override;
  void end_if_idle() override;
  void watch_peer() override;
  void on_slot() override;

  void on_data(io::Stream&, io::LentBytes bytes) override;
  void on_end(io::Stream&) override;
  void on_drained(io::Stream&) override;
  void on_failed(io::Stream&, const Error& error) override;
  void on_server_connected() override;
  void on_server_data(io::LentBytes bytes) override;
  void on_server_end() override;
  void on_server_drained() override;
  void on_server_failed(const Error& error) override;

 private:
  //                       ┌───────────────────────── keep-alive ─────────────────────────┐
  //                       v                                                              │
  //  accept ────────> kHead ──> kQueued ──> kConnecting ──> kWaiting ──> kAnswering ─────┤
  //                       │        ^          │  ^    ^         │  │          │          │
  //                       │        └──────────┘  └ kPausing <───┘  └─> kTunnel│          │
  //                       └── our own answer (statistics, errors) ────────────┴─> kLingering
  enum class Phase : std::uint8_t {
    kHead,    // waiting for a request, or in the middle of its head
    kQueued,  // no server has a free slot
    kConnecting,
    kPausing,    // before the same server is tried again
    kWaiting,    // sent, at least in part; no answer yet
    kAnswering,  // the answer's head is with the client, its body follows
    kTunnel,     // bytes both ways: 101, or 2xx to CONNECT
    kLingering,  // our last word is said; what the client still sends is read and dropped
  };

  // How much of a body is still to come.
  struct Body {
    http::Framing framing = http::Framing::kNone;
    std::uint64_t remaining = 0;
    http::ChunkScanner chunks;
    bool done = true;

    void begin(http::Framing how, std::uint64_t length);
    struct Taken {
      std::size_t count = 0;  // of the bytes, this many belong to the body
      bool bad = false;       // broken framing behind them
    };
    Taken take(std::string_view bytes);
  };

  void on_timer(Instant now) override;

  // The request
  void take_input(std::string_view bytes);
  std::size_t take_request(std::string_view bytes);  // bytes used; 0: not a whole head
  void hold_input(std::string_view bytes);
  bool begin_request(http::RequestHead& head, const char* base);
  int route() const;  // a proxy's index, or -1
  RequestFacts facts() const;
  bool answer_by_ourselves(const http::RequestHead& head, const char* base, int target);
  bool keeps_client_after_body() const;
  std::size_t take_request_body(std::string_view bytes);

  // To the server
  void dispatch();
  void use_server();
  void connect();
  void send_request();
  void attempt_failed(bool connecting, bool timed_out);
  void abort_connection();
  void look_again(Instant now);
  void look_for_silence(Instant now);
  bool may_leave_server(Others which) const;
  void leave_silent_server();
  void give_up_on_lost_server();

  // The answer
  void take_answer(io::LentBytes bytes);
  void begin_answer(http::ResponseHead& head, io::LentBytes bytes);
  void relay_answer(std::string_view bytes);
  void after_answer_bytes(const Body::Taken& taken, std::string_view bytes);
  void begin_tunnel();
  void end_tunnel_if_done();

  // The end of a request, of the session
  void answer_done();
  void answer_cut(char cause, char state);
  void server_aborted();
  void client_lost();
  char state_of_phase() const;
  void send_error(int status, char cause, char state);
  void send_own_answer(int status, std::string_view text, char cause, char state);
  void account_and_log(char cause, char state);
  void next_request();
  void await_request();
  bool may_have_another() const;
  bool peer_takes() const;
  void note_backlogs();
  void arm_linger();
  void count_broken_request();
  void end_client();
  void finish();
  bool move_to_current_generation();
  void capture(bool response, std::string_view bytes, std::uint32_t position,
               std::string_view reason);

  void to_client(std::string_view bytes);
  void to_server(std::string_view bytes);
  void set_client_reading(bool on);
  void watch_client();
  void arm_until(Instant deadline);
  void arm_waiting();
  void arm_relay();

  static constexpr std::size_t kReplayMax = 64u << 10;   // bytes of a request kept to send again
  static constexpr std::size_t kBufferKept = 16u << 10;  // capacity kept between requests
  static constexpr std::size_t kRequestLineMax = 1024;   // bytes of it kept for the log
  static constexpr std::size_t kLingerMax = 256u << 10;  // bytes read and dropped
  static constexpr Duration kLinger = std::chrono::seconds(2);
  // A client that is not yet registered with the kernel is watched for its abort from here on.
  static constexpr Duration kAbortWatch = std::chrono::milliseconds(100);

  Phase phase_ = Phase::kHead;
  http::Method method_ = http::Method::kOther;
  http::Version client_version_ = http::Version::kHttp11;
  int status_ = -1;
  bool client_keep_alive_ = false;  // the client wants and may have another request
  bool client_ended_ = false;       // its FIN came
  bool client_paused_ = false;
  bool client_aborts_ = false;      // the client is to see a reset
  bool client_backlogged_ = false;  // our queue to the client is not empty
  bool server_backlogged_ = false;  // our queue to the server is not empty
  bool server_ended_ = false;       // its FIN came, in a tunnel
  bool server_keep_alive_ = false;
  bool upgrade_ = false;
  bool repeatable_ = false;           // may be sent again although a server may have carried it out
  bool dechunk_ = false;              // the answer is chunked and the client knows no chunks
  bool request_sent_ = false;         // some of it is with the kernel
  bool request_kept_ = true;          // request_ still holds all of it
  bool asked_about_silence_ = false;  // the server is being probed because this request waits
  bool fresh_only_ = false;           // a pooled connection has just failed this request
  bool intercepted_ = false;          // the statistics page or the monitor answered
  bool monitored_ = false;            // the monitor: never logged
  bool taking_input_ = false;         // guards against recursion by pipelining
  bool watched_ = false;
  std::uint64_t requests_ = 0;
  Body request_body_;
  Body answer_body_;
  std::string input_;         // from the client, not yet used: part of a head, or pipelined
  std::string request_;       // as sent to the server: head, and the body while it is kept
  std::string answer_input_;  // part of an answer's head, with room in front
  std::string request_line_;  // for the log
  std::string client_ip_;     // as X-Forwarded-For says it
  Instant deadline_{};        // the timer may fire before it, to begin watching the client
  Instant armed_at_{};        // when the deadline was set, and what was queued then
  std::size_t client_backlog_ = 0;
  std::size_t server_backlog_ = 0;
  std::size_t lingered_ = 0;
};

}  // namespace nines::proxy
