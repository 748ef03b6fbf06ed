// Everything that the next manager has to know is in setup_ at the moment of its fork.
#include "manager_plane.h"

#include <charconv>
#include <utility>

#include "manager_main.h"

namespace nines {

using node::ChannelMessage;

// It looks at databases: a second more or less changes nothing. Whoever asks for the status waits
// for a stuck one until it is killed.
node::PlanePolicy ManagerPlane::policy() {
  node::PlanePolicy policy;
  policy.restart_delay_min = std::chrono::milliseconds(100);
  policy.restart_delay_max = std::chrono::seconds(30);
  policy.ask_interval = std::chrono::seconds(1);
  policy.answer_within = std::chrono::seconds(3);
  return policy;
}

ManagerPlane::ManagerPlane(GaleraSetup setup, io::EpollLoop& loop, io::Log& log)
    : log_(log), setup_(std::move(setup)), plane_("manager", policy(), loop, log, *this) {}

void ManagerPlane::watch(GaleraSetup setup) {
  if (setup == setup_) return;
  setup_ = std::move(setup);
  if (plane_.alive()) plane_.kill();
}

void ManagerPlane::end() {
  plane_.expect_end();
  plane_.close_channel();
  plane_.end(kEndPatience);
}

void ManagerPlane::ask(std::string_view request, Answered answered) {
  if (plane_.watch().state() != node::PlaneWatch::State::kServing) {
    return answered(Error(ErrorCode::kUnavailable, "the manager is not at work yet"));
  }
  if (requests_.size() >= kRequestsMax) {
    return answered(Error(ErrorCode::kExhausted, "too many requests wait for the manager"));
  }
  const std::uint64_t number = ++last_request_;
  std::string text = std::to_string(number) + ' ' + std::string(request);
  if (const auto sent = plane_.send({ChannelMessage::Kind::kRequest, std::move(text), {}});
      !sent.has_value()) {
    return answered(sent.error());
  }
  requests_.emplace(number, std::move(answered));
}

int ManagerPlane::run_plane() { return run_manager_main(setup_); }

void ManagerPlane::on_plane_message(ChannelMessage message) {
  if (message.kind == ChannelMessage::Kind::kTaken) plane_.served();
  if (message.kind == ChannelMessage::Kind::kReply) replied(message);
}

void ManagerPlane::replied(const ChannelMessage& message) {
  std::uint64_t number = 0;
  const char* const end = message.text.data() + message.text.size();
  const auto parsed = std::from_chars(message.text.data(), end, number);
  const auto found = requests_.find(number);
  if (parsed.ec != std::errc() || parsed.ptr != end || found == requests_.end()) {
    return log_.write(io::Severity::kError, "the manager answers what nobody asked");
  }
  const Answered answered = std::move(found->second);
  requests_.erase(found);
  answered([&]() -> Result<std::string> {
    auto texts = TRY(node::unpack_texts(message.descriptor.get()));
    if (texts.size() != 1) return Error(ErrorCode::kInvalid, "no reply of a manager");
    return std::move(texts.front().second);
  }());
}

void ManagerPlane::fail_requests() {
  for (const auto& [number, answered] : std::exchange(requests_, {})) {
    answered(Error(ErrorCode::kUnavailable, "the manager died before it had answered"));
  }
}

}  // namespace nines
