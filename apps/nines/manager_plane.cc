// Everything that the next manager has to know is in setup_ at the moment of its fork.
#include "manager_plane.h"

#include <utility>

#include "manager_main.h"

namespace nines {

using node::ChannelMessage;

// It looks at databases: a second more or less changes nothing.
node::PlanePolicy ManagerPlane::policy() {
  node::PlanePolicy policy;
  policy.restart_delay_min = std::chrono::milliseconds(100);
  policy.restart_delay_max = std::chrono::seconds(30);
  policy.ask_interval = std::chrono::seconds(1);
  policy.answer_within = std::chrono::seconds(3);
  return policy;
}

ManagerPlane::ManagerPlane(GaleraSetup setup, io::EpollLoop& loop, io::Log& log, Heard heard,
                           Recover recover)
    : log_(log),
      setup_(std::move(setup)),
      loop_(loop),
      heard_(std::move(heard)),
      recover_(std::move(recover)),
      requests_("manager", [this](const ChannelMessage& message) { return plane_.send(message); }),
      plane_("manager", policy(), loop, log, *this) {}

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
  requests_.ask(request, std::move(answered), loop_.now() + kAnswerWithin);
  arm();
}

void ManagerPlane::on_timer(Instant now) {
  requests_.expire(now);
  arm();
}

void ManagerPlane::arm() {
  if (const auto deadline = requests_.deadline()) loop_.arm(*this, *deadline);
}

int ManagerPlane::run_plane() { return run_manager_main(setup_); }

void ManagerPlane::on_plane_message(ChannelMessage message) {
  if (message.kind == ChannelMessage::Kind::kTaken) plane_.served();
  if (message.kind == ChannelMessage::Kind::kMember) heard(message.text);
  if (message.kind == ChannelMessage::Kind::kRecover) recover_(message.text);
  if (message.kind != ChannelMessage::Kind::kReply) return;
  if (const auto told = requests_.replied(message); !told.has_value()) {
    log_.write(io::Severity::kError, told.error().message());
  }
}

// Another manager than the one that asked looks at the record itself.
void ManagerPlane::recovered(int code, const std::string& words) {
  const std::string text = std::to_string(code) + ' ' + words;
  static_cast<void>(
      plane_.send({ChannelMessage::Kind::kRecovered, text.substr(0, node::kChannelTextMax), {}})
          .has_value());
}

void ManagerPlane::on_plane_died(bool) {
  heard_({});
  requests_.fail();
}

// What a plane says that has spoken with servers is read before it goes on.
void ManagerPlane::heard(const std::string& text) {
  const auto word = node::parse_member_word(text);
  if (!word.has_value()) return log_.write(io::Severity::kError, word.error().message());
  heard_(*word);
}

}  // namespace nines
