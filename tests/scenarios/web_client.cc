// Reconnects whenever there is more to ask; one timer paces reading, thinking and uploading.
#include "web_client.h"

#include <gtest/gtest.h>

namespace nines::scenarios {

WebClient::WebClient(io::Loop& loop, const SocketAddress& proxy, Options options,
                     const Journal& journal)
    : loop_(loop), proxy_(proxy), options_(options), journal_(journal) {}

WebClient::~WebClient() {
  if (stream_ != nullptr) stream_->abort();
}

void WebClient::ask(Ask ask) {
  answers_.push_back(Answer{.ask = std::move(ask), .server = {}});
  ++pending_;
  // From outside of the loop too: it begins in the loop's next pass.
  if (!armed()) loop_.arm(*this, loop_.now());
}

void WebClient::hang_up(bool reset) {
  if (stream_ == nullptr) return;
  reset ? stream_->abort() : stream_->close();
  stream_ = nullptr;
  for (const std::size_t index : on_way_) settle(answers_[index], Outcome::kBroken);
  on_way_.clear();
  if (next_ < answers_.size()) loop_.arm(*this, loop_.now());
}

std::string WebClient::state() const {
  std::string text = "next " + std::to_string(next_) + " of " + std::to_string(answers_.size()) +
                     ", on their way " + std::to_string(on_way_.size());
  if (!on_way_.empty())
    text += " (request " + std::to_string(answers_[on_way_.front()].ask.id) + ")";
  for (const auto& [what, holds] : {std::pair{"no connection", stream_ == nullptr},
                                    {"connecting", stream_ && !ready_},
                                    {"uploading", uploading_},
                                    {"waiting for room", waiting_room_},
                                    {"closing", closing_},
                                    {"thinking", thinking_},
                                    {"resting", resting_},
                                    {"timer armed", armed()}}) {
    if (holds) text += std::string(", ") + what;
  }
  return text;
}

void WebClient::connect() {
  ++connections_;
  ready_ = closing_ = resting_ = uploading_ = waiting_room_ = saw_end_ = false;
  answered_here_ = 0;
  reader_ = MessageReader(MessageReader::Side::kResponses);
  stream_ = &loop_.connect(proxy_, {}, *this);
}

void WebClient::go_on() {
  if (thinking_) return;
  if (stream_ == nullptr) {
    if (next_ < answers_.size()) connect();
    return;
  }
  while (ready_ && !closing_ && !uploading_ && next_ < answers_.size() &&
         on_way_.size() < static_cast<std::size_t>(options_.pipeline)) {
    send_next();
    if (stream_ == nullptr) return;
  }
}

void WebClient::send_next() {
  Answer& answer = answers_[next_];
  const Ask& ask = answer.ask;
  answer.asked = loop_.now();
  loop_.arm(patience_, options_.patience);
  on_way_.push_back(next_);
  ++next_;
  std::string head = ask.method + " " + ask.target() + (ask.http10 ? " HTTP/1.0" : " HTTP/1.1") +
                     "\r\nhost: proxy\r\n";
  const bool closes = ask.client_closes || options_.one_connection_each;
  if (closes) head += "connection: close\r\n";
  if (closes || ask.http10) closing_ = true;
  if (ask.upload > 0 || ask.method == "POST") {
    head += ask.upload_chunked ? "transfer-encoding: chunked\r\n"
                               : "content-length: " + std::to_string(ask.upload) + "\r\n";
  }
  stream_->send(head + "\r\n");
  if (ask.upload > 0) {
    uploading_ = true;
    body_sent_ = 0;
    send_body();
  } else if (ask.method == "POST" && ask.upload_chunked) {
    stream_->send("0\r\n\r\n");
  }
  if (options_.half_close && next_ == answers_.size() && !uploading_) stream_->finish();
}

void WebClient::send_body() {
  const Ask& ask = answers_[on_way_.back()].ask;
  while (uploading_ && !waiting_room_) {
    const std::size_t size = std::min(options_.upload_piece, ask.upload - body_sent_);
    std::string piece = body_bytes(ask.id, body_sent_, size);
    if (ask.upload_chunked) {
      char length[20];
      std::snprintf(length, sizeof(length), "%zx\r\n", size);
      piece = length + piece + "\r\n";
    }
    body_sent_ += size;
    if (body_sent_ == ask.upload) {
      uploading_ = false;
      if (ask.upload_chunked) piece += "0\r\n\r\n";
    }
    waiting_room_ = stream_->send(piece) == io::Sent::kQueued;
    if (uploading_ && options_.upload_pause > Duration{}) {
      if (!armed()) loop_.arm(*this, options_.upload_pause);
      return;
    }
  }
}

void WebClient::Patience::on_timer(Instant) { client_.hang_up(true); }

void WebClient::on_connected(io::Stream&) {
  ready_ = true;
  go_on();
}

void WebClient::on_data(io::Stream&, io::LentBytes bytes) {
  reader_.feed(bytes.view());
  loop_.arm(patience_, options_.patience);
  if (options_.read_pause > Duration{}) {
    stream_->pause();
    resting_ = true;
    loop_.arm(*this, options_.read_pause);
  }
  take_answers();
}

void WebClient::on_drained(io::Stream&) {
  waiting_room_ = false;
  loop_.arm(patience_, options_.patience);
  if (uploading_) send_body();
  go_on();
}

void WebClient::on_timer(Instant) {
  thinking_ = false;
  if (stream_ != nullptr && resting_) {
    resting_ = false;
    stream_->resume();
  }
  if (stream_ != nullptr && uploading_ && !waiting_room_) send_body();
  go_on();
}

void WebClient::take_answers() {
  while (stream_ != nullptr) {
    const bool head_only = !on_way_.empty() && answers_[on_way_.front()].ask.method == "HEAD";
    const bool whole = reader_.advance(head_only);
    ASSERT_FALSE(reader_.bad()) << "a broken answer: " << reader_.current().start_line;
    if (!whole) break;
    take(reader_.take());
  }
}

void WebClient::take(Message message) {
  ASSERT_FALSE(on_way_.empty()) << "an answer that nobody asked for: " << message.start_line;
  Answer& answer = answers_[on_way_.front()];
  const Ask& ask = answer.ask;
  const int status = message.status();
  if (status < 200) {
    EXPECT_EQ(message.field("x-early"), std::to_string(ask.id));
    return;
  }
  answer.status = status;
  answer.server = message.field("x-server");
  const std::string id = message.field("x-id");
  if (!id.empty()) {
    EXPECT_EQ(id, std::to_string(ask.id)) << "the answer to another request";
    if (ask.framing != Ask::Framing::kClose || !journal_.cut.contains(ask.id)) {
      EXPECT_EQ(message.body.size(), ask.method == "HEAD" ? 0 : ask.size)
          << "the answer to request " << ask.id << " looks complete";
    }
    EXPECT_TRUE(is_body(ask.id, message.body)) << "the answer to request " << ask.id;
  } else {
    EXPECT_GE(status, 400) << message.start_line;
  }
  on_way_.pop_front();
  ++answered_here_;
  settle(answer, id.empty() ? Outcome::kError : Outcome::kWhole);
  if (message.field("connection") == "close") closing_ = true;
  if (options_.think > Duration{}) {
    thinking_ = true;
    loop_.arm(*this, options_.think);
  }
  if (closing_ && on_way_.empty() && !uploading_) {
    stream_->close();
    stream_ = nullptr;
    saw_end_ = true;
  }
  go_on();
}

void WebClient::settle(Answer& answer, Outcome outcome) {
  ASSERT_EQ(answer.outcome, Outcome::kPending) << "two ends for request " << answer.ask.id;
  answer.outcome = outcome;
  answer.answered = loop_.now();
  --pending_;
}

void WebClient::on_end(io::Stream& ended) {
  saw_end_ = true;
  if (reader_.finish()) {
    closing_ = true;
    take(reader_.take());
    if (stream_ != &ended) return;
  }
  lost();
}

void WebClient::on_failed(io::Stream&, const Error&) {
  saw_end_ = true;
  lost();
}

void WebClient::lost() {
  const bool begun = reader_.begun();
  stream_->close();
  stream_ = nullptr;
  uploading_ = false;
  auto on_way = std::exchange(on_way_, {});
  if (!ready_ && next_ < answers_.size()) on_way.push_back(next_++);  // nobody listens
  // What was not begun to be answered on a connection that had served already may be asked again.
  std::size_t number = 0;
  for (const std::size_t index : on_way) {
    const bool untouched = answered_here_ > 0 && !(begun && number++ == 0);
    Answer& answer = answers_[index];
    settle(answer, untouched ? Outcome::kUntouched : Outcome::kBroken);
    if (untouched && options_.asks_again && answer.ask.idempotent()) {
      Ask again = answer.ask;
      ask(std::move(again));
    }
  }
  if (next_ < answers_.size() && !armed()) loop_.arm(*this, loop_.now());
}

}  // namespace nines::scenarios
