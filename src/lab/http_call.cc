// The head by the codec, the body by its framing, collected.
#include "lab/http_call.h"

#include <charconv>
#include <utility>

namespace nines::lab {
namespace {

constexpr std::string_view kMalformed = "malformed";
constexpr std::string_view kClosedEarly = "closed early";
constexpr std::string_view kNoAnswer = "no answer";

// The data of a body whose framing the scanner has found good (RFC 9112 7.1).
std::string data_of(std::string_view chunks) {
  std::string data;
  while (true) {
    std::size_t size = 0;
    std::from_chars(chunks.data(), chunks.data() + chunks.size(), size, 16);
    if (size == 0) return data;
    chunks.remove_prefix(chunks.find('\n') + 1);
    data += chunks.substr(0, size);
    chunks.remove_prefix(size + 2);
  }
}

}  // namespace

std::string api_request(std::string_view method, std::string_view target, std::string_view token,
                        std::string_view body) {
  std::string text(method);
  text.append(" ").append(target).append(
      " HTTP/1.1\r\nHost: vip\r\nUser-Agent: nines-drill\r\nAccept: application/json\r\n"
      "X-OpenStack-Nova-API-Version: 2.37\r\nConnection: close\r\n");
  if (!token.empty()) text.append("X-Auth-Token: ").append(token).append("\r\n");
  if (!body.empty()) {
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return text.append("\r\n").append(body);
}

HttpCall::HttpCall(io::Loop& loop, const SocketAddress& address, std::string request,
                   Duration patience, std::function<void(HttpReply)> done)
    : request_(std::move(request)),
      done_(std::move(done)),
      stream_(&loop.connect(address, {}, *this)),
      head_(std::make_unique<http::ResponseHead>()) {
  loop.arm(*this, patience);
}

HttpCall::~HttpCall() { drop(); }

// Nothing is heard of a stream after this.
void HttpCall::drop() {
  cancel();
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->abort();
}

void HttpCall::on_connected(io::Stream& stream) { stream.send(request_); }

void HttpCall::on_data(io::Stream&, io::LentBytes bytes) {
  pending_.append(bytes.view());
  if (pending_.size() + reply_.body.size() > kAnswerMax) return fail(kMalformed);
  take();
}

void HttpCall::on_end(io::Stream&) {
  if (head_seen_ && head_->framing == http::Framing::kUntilClose) {
    reply_.body = std::move(pending_);
    return finish();
  }
  fail(kClosedEarly);
}

void HttpCall::on_failed(io::Stream&, const Error& error) { fail(base::name_of(error.code())); }

void HttpCall::on_timer(Instant) { fail(kNoAnswer); }

// False while more is needed, and when the call has ended.
bool HttpCall::take_head() {
  while (!head_seen_) {
    const auto parsed = http::parse_response(pending_, {}, http::Method::kGet, *head_);
    if (parsed.status == http::Parse::kBad) return fail(kMalformed), false;
    if (parsed.status != http::Parse::kComplete) return false;
    head_seen_ = !head_->interim();
    if (head_seen_) {
      reply_.status = head_->status;
      const auto* token = http::find_field(*head_, pending_.data(), "X-Subject-Token");
      if (token != nullptr) reply_.token = token->value.in(pending_.data());
    }
    pending_.erase(0, head_->size);
  }
  return true;
}

void HttpCall::take() {
  if (!take_head()) return;
  switch (head_->framing) {
    case http::Framing::kNone:
      return finish();
    case http::Framing::kLength:
      if (pending_.size() < head_->content_length) return;
      reply_.body = std::move(pending_);
      return finish();
    case http::Framing::kChunked:
      return take_chunks();
    case http::Framing::kUntilClose:
      return;
  }
}

void HttpCall::take_chunks() {
  const auto step = chunks_.feed(std::string_view(pending_).substr(scanned_));
  scanned_ += step.consumed;
  if (step.status == http::ChunkScanner::Status::kBad) return fail(kMalformed);
  if (step.status == http::ChunkScanner::Status::kMore) return;
  reply_.body = data_of(pending_);
  finish();
}

void HttpCall::finish() {
  drop();
  const auto done = std::move(done_);
  done(std::move(reply_));
}

void HttpCall::fail(std::string_view reason) {
  reply_ = {.status = 0, .reason = reason, .token = {}, .body = {}};
  finish();
}

}  // namespace nines::lab
