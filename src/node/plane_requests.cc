// A reply travels in a memory file: a status may be longer than a message.
#include "node/plane_requests.h"

#include <charconv>
#include <utility>
#include <vector>

namespace nines::node {

namespace {

Result<std::string> unpack_reply(const ChannelMessage& message, const std::string& plane) {
  auto texts = TRY(unpack_texts(message.descriptor.get()));
  if (texts.size() != 1) return Error(ErrorCode::kInvalid, "no reply of the " + plane);
  return std::move(texts.front().second);
}

}  // namespace

void PlaneRequests::ask(std::string_view request, Answered answered, std::optional<Instant> until) {
  if (waiting_.size() >= kUnansweredMax) {
    return answered(
        Error(ErrorCode::kExhausted, "too many requests wait for the " + plane_ + " already"));
  }
  const std::uint64_t number = ++last_;
  std::string text = std::to_string(number) + ' ' + std::string(request);
  if (const auto sent = send_({ChannelMessage::Kind::kRequest, std::move(text), {}});
      !sent.has_value()) {
    return answered(sent.error());
  }
  waiting_.emplace(number, Waiting{std::move(answered), until});
}

Result<void> PlaneRequests::replied(const ChannelMessage& message) {
  std::uint64_t number = 0;
  const char* const end = message.text.data() + message.text.size();
  const auto parsed = std::from_chars(message.text.data(), end, number);
  const auto found = waiting_.find(number);
  if (parsed.ec != std::errc() || parsed.ptr != end || found == waiting_.end()) {
    return Error(ErrorCode::kNotFound, "the " + plane_ + " answers what nobody asked");
  }
  const Answered answered = std::move(found->second.answered);
  waiting_.erase(found);
  if (answered) answered(unpack_reply(message, plane_));
  return {};
}

std::optional<Instant> PlaneRequests::deadline() const {
  std::optional<Instant> earliest;
  for (const auto& [number, each] : waiting_) {
    if (each.until && (!earliest || *each.until < *earliest)) earliest = each.until;
  }
  return earliest;
}

// Who is told may ask again at once, so all are found before the first one is told.
void PlaneRequests::expire(Instant now) {
  std::vector<Answered> late;
  for (auto& [number, each] : waiting_) {
    if (!each.until || now < *each.until) continue;
    each.until.reset();
    late.push_back(std::exchange(each.answered, nullptr));
  }
  for (const Answered& answered : late) {
    answered(Error(ErrorCode::kUnavailable, "the " + plane_ + " does not answer"));
  }
}

void PlaneRequests::fail() {
  for (const auto& [number, each] : std::exchange(waiting_, {})) {
    if (!each.answered) continue;
    each.answered(Error(ErrorCode::kUnavailable, "the " + plane_ + " died before it had answered"));
  }
}

Result<PlaneRequest> parse_plane_request(std::string_view message) {
  const auto blank = message.find(' ');
  if (blank == message.npos || blank == 0) {
    return Error(ErrorCode::kInvalid, "a request without a number");
  }
  return PlaneRequest{message.substr(0, blank), message.substr(blank + 1)};
}

Result<ChannelMessage> make_plane_reply(std::string_view number, std::string reply) {
  return ChannelMessage{ChannelMessage::Kind::kReply, std::string(number),
                        TRY(pack_texts({{"reply", std::move(reply)}}))};
}

}  // namespace nines::node
