// One HTTP request of a client's, over a connection of its own, to one answer: what the lab's
// clients say to an API. Lives on the loop it is given.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/socket_address.h"
#include "base/time.h"
#include "http/chunked.h"
#include "http/message.h"
#include "io/loop.h"

namespace nines::lab {

struct HttpReply {
  int status = 0;             // 0: none came, and `reason` says why
  std::string_view reason{};  // static storage
  std::string token;          // X-Subject-Token
  std::string body;
};

// "POST", "/v3/auth/tokens" and JSON to a whole request; `token` may be empty.
std::string api_request(std::string_view method, std::string_view target, std::string_view token,
                        std::string_view body);

class HttpCall final : public io::StreamHandler, private Timer {
 public:
  static constexpr std::size_t kAnswerMax = 4u << 20;  // bytes

  // `done` is called once, never from the constructor; it may destroy the call.
  HttpCall(io::Loop& loop, const SocketAddress& address, std::string request, Duration patience,
           std::function<void(HttpReply)> done);
  ~HttpCall() override;

  void on_connected(io::Stream& stream) override;
  void on_data(io::Stream&, io::LentBytes bytes) override;
  void on_end(io::Stream&) override;
  void on_failed(io::Stream&, const Error& error) override;

 private:
  void on_timer(Instant) override;
  bool take_head();
  void take();
  void take_chunks();
  void finish();
  void drop();
  void fail(std::string_view reason);

  std::string request_;
  std::function<void(HttpReply)> done_;
  io::Stream* stream_;
  std::unique_ptr<http::ResponseHead> head_;
  http::ChunkScanner chunks_;
  std::size_t scanned_ = 0;  // bytes of pending_ that the scanner has seen
  std::string pending_;
  HttpReply reply_;
  bool head_seen_ = false;
};

}  // namespace nines::lab
