// One request at a time on each connection; an arrival counts from the head's last byte on.
#include "web_server.h"

#include <gtest/gtest.h>

namespace nines::scenarios {

class WebServer::Connection final : public io::StreamHandler, private Timer {
 public:
  Connection(WebServer& server, io::Stream& stream) : server_(server), stream_(&stream) {
    stream.set_handler(this);
    ++server_.open_;
  }
  ~Connection() override { end(false); }

  void end(bool reset) {
    if (stream_ == nullptr) return;
    cancel();
    set_busy(false);
    if (step_ == Step::kMiddle || unsent_) server_.journal_.cut.insert(ask_.id);
    reset ? stream_->abort() : stream_->close();
    stream_ = nullptr;
    --server_.open_;
  }
  bool idle() const { return stream_ != nullptr && !busy_ && !reader_.begun(); }

  void on_data(io::Stream&, io::LentBytes bytes) override {
    reader_.feed(bytes.view());
    if (server_.slow_reader_) {
      stream_->pause();
      if (step_ == Step::kReading) {
        step_ = Step::kResting;
        server_.loop_.arm(*this, kRest);
      }
    }
    go_on();
  }
  void on_end(io::Stream&) override {
    if (!busy_) end(false);
  }
  void on_failed(io::Stream&, const Error&) override { end(false); }

 private:
  enum class Step : std::uint8_t { kReading, kResting, kThinking, kMiddle, kIdle };

  void set_busy(bool busy) {
    if (busy == busy_) return;
    busy_ = busy;
    server_.busy_ += busy ? 1 : -1;
    server_.busy_max_ = std::max(server_.busy_max_, server_.busy_);
  }

  void on_timer(Instant) override {
    switch (step_) {
      case Step::kResting:
        step_ = Step::kReading;
        stream_->resume();
        return;
      case Step::kThinking:
        answer();
        return;
      case Step::kMiddle:
        end(ask_.id % 2 == 0);
        return;
      case Step::kIdle:
        end(false);
        return;
      case Step::kReading:
        return;
    }
  }

  void go_on() {
    while (stream_ != nullptr && !answering_) {
      const bool whole = reader_.advance(false);
      ASSERT_FALSE(reader_.bad()) << server_.name_ << " got a broken request";
      if (reader_.head_done() && !busy_) arrive(reader_.current());
      if (stream_ == nullptr || !whole) return;
      begin_answer(reader_.take());
    }
  }

  void arrive(const Message& head) {
    set_busy(true);
    ask_ = Ask::parse(head.word(1));
    if (ask_.id == 0) return;  // a health check
    auto& arrivals = server_.journal_.arrivals[ask_.id];
    arrivals.push_back({server_.name_, head.word(0)});
    ++server_.journal_.total;
    arrival_ = static_cast<int>(arrivals.size());
    // Whether a token may be asked for twice is the scenario's to say.
    EXPECT_TRUE(head.word(0) != "POST" || ask_.token || arrival_ == 1)
        << "request " << ask_.id << ", which is not idempotent, reached " << arrivals[0].server
        << " and then " << server_.name_;
  }

  void begin_answer(Message request) {
    answering_ = true;
    head_only_ = request.word(0) == "HEAD";
    closes_ = ask_.server_closes || request.word(2) == "HTTP/1.0" ||
              request.field("connection") == "close";
    EXPECT_EQ(request.body.size(), ask_.upload) << "the body of request " << ask_.id;
    EXPECT_TRUE(is_body(ask_.id, request.body)) << "the body of request " << ask_.id;
    if (server_.mute_) return;
    if (ask_.id != 0 && arrival_ <= ask_.dies_before) {
      end(ask_.id % 2 == 0);
      return;
    }
    if (ask_.delay_ms == 0) {
      answer();
      return;
    }
    step_ = Step::kThinking;
    server_.loop_.arm(*this, std::chrono::milliseconds(ask_.delay_ms));
  }

  void answer() {
    step_ = Step::kReading;
    if (ask_.id == 0) {
      stream_->send("HTTP/1.1 " + std::to_string(server_.check_status_) +
                    " Check\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      end(false);
      return;
    }
    ++server_.served_;
    std::string text;
    for (int i = 0; i < ask_.interims; ++i) {
      text += "HTTP/1.1 103 Early Hints\r\nx-early: " + std::to_string(ask_.id) + "\r\n\r\n";
    }
    text += "HTTP/1.1 200 OK\r\nx-id: " + std::to_string(ask_.id) +
            "\r\nx-server: " + server_.name_ + "\r\n";
    const std::string body = body_bytes(ask_.id, 0, ask_.size);
    std::string coded = body;
    switch (ask_.framing) {
      case Ask::Framing::kLength:
        text += "content-length: " + std::to_string(body.size()) + "\r\n";
        break;
      case Ask::Framing::kChunked:
        text += "transfer-encoding: chunked\r\n";
        coded = chunked(body);
        break;
      case Ask::Framing::kClose:
        closes_ = true;
        break;
    }
    if (closes_) text += "connection: close\r\n";
    text += "\r\n";
    if (head_only_) coded.clear();
    if (arrival_ <= ask_.dies_before + ask_.dies_in_middle) {
      stream_->send(text + coded.substr(0, coded.size() / 2));
      step_ = Step::kMiddle;
      server_.loop_.arm(*this, 20ms);
      return;
    }
    unsent_ = stream_->send(text + coded) == io::Sent::kQueued;
    set_busy(false);
    answering_ = false;
    if (closes_) {
      if (stream_->queued() == 0) {
        end(false);
      } else {
        stream_->finish();
        closing_ = true;
      }
      return;
    }
    if (server_.idle_life_ != Duration{} && !reader_.begun()) {
      step_ = Step::kIdle;
      server_.loop_.arm(*this, server_.idle_life_);
    }
    go_on();
  }

  void on_drained(io::Stream&) override {
    unsent_ = false;
    if (closing_) end(false);
  }

  static std::string chunked(std::string_view body) {
    std::string text;
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t size = std::min<std::size_t>(body.size() - at, 1 + at % 3000 + at / 3);
      char length[20];
      std::snprintf(length, sizeof(length), "%zx\r\n", size);
      text += length;
      text += body.substr(at, size);
      text += "\r\n";
      at += size;
    }
    return text + "0\r\n\r\n";
  }

  static constexpr Duration kRest = 3ms;

  WebServer& server_;
  io::Stream* stream_;
  MessageReader reader_{MessageReader::Side::kRequests};
  Step step_ = Step::kReading;
  Ask ask_;
  int arrival_ = 0;
  bool busy_ = false;       // between a request's arrival and the end of its answer
  bool answering_ = false;  // the request is whole
  bool head_only_ = false;
  bool closes_ = false;
  bool closing_ = false;
  bool unsent_ = false;  // a part of the last answer
};

WebServer::WebServer(io::Loop& loop, const SocketAddress& at, std::string name, Journal& journal)
    : loop_(loop),
      name_(std::move(name)),
      journal_(journal),
      acceptor_(loop.listen(at, {}, *this).value()) {}

WebServer::~WebServer() { acceptor_->close(); }

void WebServer::on_accepted(io::Stream& stream) {
  ++accepted_;
  connections_.push_back(std::make_unique<Connection>(*this, stream));
}

void WebServer::close_idle() {
  for (auto& connection : connections_) {
    if (connection->idle()) connection->end(false);
  }
}

}  // namespace nines::scenarios
