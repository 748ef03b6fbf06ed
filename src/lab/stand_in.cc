// Connections of the three kinds over the loop's port. Each connection owns itself and ends with
// its stream.
#include "lab/stand_in.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "http/chunked.h"
#include "http/message.h"
#include "io/linux/epoll_loop.h"
#include "lab/http_answer.h"
#include "lab/mysql_wire.h"
#include "lab/websocket.h"

namespace nines::lab {
namespace {

struct Context {
  const StandInPlan& service;
  const std::string& node;
  http::RequestHead& head;  // one for all connections: a head is used within one call
  std::uint32_t sessions = 0;
};

// What all kinds share: output with back-pressure, and one end.
class Connection : public io::StreamHandler {
 public:
  explicit Connection(io::Stream& stream) : stream_(stream) { stream_.set_handler(this); }

  void on_data(io::Stream&, io::LentBytes bytes) final {
    if (closing_) return;
    std::string out;
    const bool go_on = take(bytes.view(), out);
    send(out);
    if (!go_on) finish();
  }
  void on_end(io::Stream&) final {
    ended_ = true;
    finish();
  }
  void on_drained(io::Stream&) final {
    if (closing_) {
      stream_.finish();
      if (ended_) return end();
    }
    stream_.resume();
  }
  void on_failed(io::Stream&, const Error&) final { end(); }

 protected:
  // Appends the answers to `out`. False: the session is over once `out` is sent.
  virtual bool take(std::string_view bytes, std::string& out) = 0;
  void send(std::string_view bytes) {
    if (!bytes.empty() && stream_.send(bytes) == io::Sent::kQueued) stream_.pause();
  }

 private:
  // Our FIN first; then whatever the peer still sends is read and dropped until its own, so that
  // unread bytes do not turn the close into a reset that would eat the answer.
  void finish() {
    closing_ = true;
    if (stream_.queued() > 0) return;  // on_drained() goes on from here
    stream_.finish();
    if (ended_) end();
  }
  void end() {
    stream_.close();
    delete this;
  }

  io::Stream& stream_;
  bool closing_ = false;
  bool ended_ = false;
};

class HttpConnection final : public Connection {
 public:
  HttpConnection(io::Stream& stream, Context& context) : Connection(stream), context_(context) {}

 private:
  // kHead --no body--> kHead;  kHead --body--> kLength | kChunks --whole--> kHead;
  // kHead --Upgrade: websocket--> kFrames
  enum class State : std::uint8_t { kHead, kLength, kChunks, kFrames };

  bool take(std::string_view bytes, std::string& out) override {
    pending_.append(bytes);
    while (true) {
      switch (state_) {
        case State::kHead: {
          const auto parsed = http::parse_request(pending_, {}, context_.head);
          if (parsed.status == http::Parse::kNeedMore) return true;
          if (parsed.status == http::Parse::kBad) {
            out +=
                answer_bytes({.status = 400, .fields = "", .body = ""}, http::Method::kGet, false);
            return false;
          }
          if (!begin_request(out)) return false;
          break;
        }
        case State::kLength: {
          const auto part = std::min<std::uint64_t>(left_, pending_.size());
          pending_.erase(0, part);
          left_ -= part;
          if (left_ > 0) return true;
          if (!answer(out)) return false;
          break;
        }
        case State::kChunks: {
          const auto step = chunks_.feed(pending_);
          pending_.erase(0, step.consumed);
          if (step.status == http::ChunkScanner::Status::kMore) return true;
          if (step.status == http::ChunkScanner::Status::kBad) return false;
          if (!answer(out)) return false;
          break;
        }
        case State::kFrames:
          return echo_frames(out);
      }
    }
  }

  bool begin_request(std::string& out) {
    const auto& head = context_.head;
    method_ = head.method;
    target_ = head.target.in(pending_.data());
    keep_alive_ = head.keep_alive;
    if (context_.service.kind == StandInKind::kWebSocket && head.upgrade) {
      return begin_websocket(out);
    }
    const bool has_body = head.framing == http::Framing::kChunked ||
                          (head.framing == http::Framing::kLength && head.content_length > 0);
    // RFC 9110 10.1.1: the client waits for this before it sends the body.
    if (has_body && head.expect_continue) out += "HTTP/1.1 100 Continue\r\n\r\n";
    left_ = head.framing == http::Framing::kLength ? head.content_length : 0;
    const bool chunked = head.framing == http::Framing::kChunked;
    pending_.erase(0, head.size);
    if (!has_body) return answer(out);
    chunks_ = {};
    state_ = chunked ? State::kChunks : State::kLength;
    return true;
  }

  bool answer(std::string& out) {
    state_ = State::kHead;
    out += answer_bytes(answer_request(context_.service, context_.node, method_, target_), method_,
                        keep_alive_);
    return keep_alive_;
  }

  bool begin_websocket(std::string& out) {
    const auto* key = http::find_field(context_.head, pending_.data(), "Sec-WebSocket-Key");
    if (method_ != http::Method::kGet || key == nullptr) {
      out += answer_bytes({.status = 400, .fields = "", .body = ""}, method_, false);
      return false;
    }
    out += "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    out += "Sec-WebSocket-Accept: " + websocket_accept(key->value.in(pending_.data())) + "\r\n";
    out += std::string(kNodeField) + ": " + context_.node + "\r\n";
    out += std::string(kServiceField) + ": " + std::string(context_.service.service) + "\r\n\r\n";
    pending_.erase(0, context_.head.size);
    state_ = State::kFrames;
    return true;
  }

  bool echo_frames(std::string& out) {
    WebSocketFrame frame;
    while (true) {
      const auto step = take_websocket_frame(pending_, frame);
      if (step == WebSocketStep::kMore) return true;
      // RFC 6455 5.1: a frame from a client that is not masked ends the connection.
      if (step == WebSocketStep::kBad || !frame.masked) return false;
      switch (frame.opcode) {
        case WebSocketOpcode::kClose:
          out += make_websocket_frame(WebSocketOpcode::kClose, frame.payload, std::nullopt);
          return false;
        case WebSocketOpcode::kPing:
          out += make_websocket_frame(WebSocketOpcode::kPong, frame.payload, std::nullopt);
          break;
        case WebSocketOpcode::kPong:
          break;
        case WebSocketOpcode::kContinuation:
        case WebSocketOpcode::kText:
        case WebSocketOpcode::kBinary:
          out += make_websocket_frame(frame.opcode, frame.payload, std::nullopt, frame.final);
          break;
        default:
          return false;
      }
    }
  }

  Context& context_;
  std::string pending_;
  std::string target_;
  http::ChunkScanner chunks_;
  std::uint64_t left_ = 0;
  http::Method method_ = http::Method::kGet;
  State state_ = State::kHead;
  bool keep_alive_ = true;
};

class MysqlConnection final : public Connection {
 public:
  MysqlConnection(io::Stream& stream, Context& context)
      : Connection(stream), server_(context.node, ++context.sessions) {
    send(server_.greeting());
  }

 private:
  bool take(std::string_view bytes, std::string& out) override { return server_.feed(bytes, out); }

  MysqlServer server_;
};

class Listener final : public io::AcceptHandler {
 public:
  explicit Listener(Context context) : context_(context) {}
  // A connection owns itself from here on.
  void on_accepted(io::Stream& stream) override {
    if (context_.service.kind == StandInKind::kMysql) {
      new MysqlConnection(stream, context_);
    } else {
      new HttpConnection(stream, context_);
    }
  }
  void on_accept_exhausted(const Error& error) override {
    std::fprintf(stderr, "%s: %s\n", context_.node.c_str(), error.message().c_str());
  }

 private:
  Context context_;
};

}  // namespace

int run_stand_in(const StandInPlan& service, const SocketAddress& at, const std::string& node,
                 ReadySignal ready) {
  const auto failed = [&](const Error& error) {
    std::fprintf(stderr, "%s %s: %s\n", std::string(service.service).c_str(), at.text().c_str(),
                 error.message().c_str());
    return 1;
  };
  auto loop = io::EpollLoop::create();
  if (!loop.has_value()) return failed(loop.error());
  const auto head = std::make_unique<http::RequestHead>();
  Listener listener({.service = service, .node = node, .head = *head});
  auto acceptor = (*loop)->listen(at, {}, listener);
  if (!acceptor.has_value()) return failed(acceptor.error());
  ready.ready();
  (*loop)->run();
  return 0;
}

}  // namespace nines::lab
