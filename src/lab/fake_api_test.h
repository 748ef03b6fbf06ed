// Tests only: an HTTP server on a simulated host that answers as the test says, or not at all.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/socket_address.h"
#include "io/loop.h"

namespace nines::lab {

class FakeApi final : public io::AcceptHandler, public io::StreamHandler {
 public:
  // The whole answer to a request; nothing: silence.
  using Answer = std::function<std::optional<std::string>(const std::string& request)>;

  FakeApi(io::Loop& loop, const SocketAddress& at, Answer answer)
      : answer_(std::move(answer)), acceptor_(*loop.listen(at, {}, *this)) {}

  void on_accepted(io::Stream& stream) override {
    ++accepted;
    stream.set_handler(this);
  }
  void on_accept_exhausted(const Error&) override {}
  void on_data(io::Stream& stream, io::LentBytes bytes) override {
    std::string& request = requests_[&stream];
    request += bytes.view();
    const auto end = request.find("\r\n\r\n");
    if (end == request.npos) return;
    const auto length = request.find("Content-Length: ");
    const std::size_t body = length == request.npos ? 0 : std::stoul(request.substr(length + 16));
    if (request.size() < end + 4 + body) return;
    last = std::exchange(request, {});
    const auto answer = answer_(last);
    if (!answer) return;
    stream.send(*answer);
    if (closes) stream.finish();
  }
  void on_end(io::Stream& stream) override { drop(stream); }
  void on_failed(io::Stream& stream, const Error&) override { drop(stream); }

  int accepted = 0;
  bool closes = false;  // after each answer
  std::string last;     // request

 private:
  void drop(io::Stream& stream) {
    requests_.erase(&stream);
    stream.close();
  }

  Answer answer_;
  io::Acceptor* acceptor_;
  std::map<io::Stream*, std::string> requests_;
};

}  // namespace nines::lab
