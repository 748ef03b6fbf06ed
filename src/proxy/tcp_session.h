// A TCP session: bytes both ways, half-closes passed on, nothing looked at.
#pragma once

#include "proxy/session.h"

namespace nines::proxy {

class TcpSession final : public Session {
 public:
  TcpSession(Worker& worker, io::Stream& client, std::shared_ptr<WorkerGeneration> generation,
             int frontend);

  void start();
  SessionInfo info() const override;
  void kill(char cause) override;
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
  // kQueued > kConnecting <> kPausing
  //              v
  //           kRelaying
  enum class Phase : std::uint8_t { kQueued, kConnecting, kPausing, kRelaying };

  void on_timer(Instant now) override;
  void dispatch();
  void connect();
  void connect_failed();
  void arm_idle();
  void arm_timer();
  void look_at_peer(Instant now);
  void server_broke();
  void finish(char cause, char state);
  void end_if_both_done();

  Phase phase_ = Phase::kQueued;
  bool client_done_ = false;  // its FIN was passed on
  bool server_done_ = false;
  Instant last_activity_{};
  Instant idle_deadline_{};  // by the timeouts; Instant::max(): none
  // When to look whether the server's kernel takes what was sent: it has not answered meanwhile.
  Instant look_at_{};
  std::size_t client_backlog_ = 0;  // bytes queued for each side at that time
  std::size_t server_backlog_ = 0;
};

}  // namespace nines::proxy
