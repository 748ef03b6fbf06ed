// A call for each member and question; what is kept is on the disk before the next effect.
#include "galera/recovery_driver.h"

#include "io/linux/files.h"

namespace nines::galera {

namespace {

std::string path_in(const std::string& folder) { return folder + '/' + std::string(kRecordFile); }

std::variant<Recovery, RollingRestart> machine_of(const RecoveryDriverOptions& options) {
  if (options.restart) return RollingRestart(*options.restart);
  return Recovery(options.recovery, options.record);
}

}  // namespace

Result<std::optional<RecoveryRecord>> read_record(const std::string& folder) {
  io::LinuxFiles files;
  const auto text = files.read(path_in(folder));
  if (!text && text.error().code() == ErrorCode::kNotFound) return std::optional<RecoveryRecord>();
  if (!text) return text.error();
  auto record = parse_record(*text);
  if (!record) return std::move(record).error().with_context(path_in(folder));
  return std::optional<RecoveryRecord>(std::move(*record));
}

Result<Evidence> evidence_in(const std::string& member, const Result<std::string>& printed) {
  if (!printed) return printed.error();
  auto evidence = parse_evidence(*printed);
  if (evidence && evidence->member != member) {
    return Error(ErrorCode::kInvalid, "its host says that it is " + evidence->member);
  }
  return evidence;
}

RecoveryDriver::RecoveryDriver(io::EpollLoop& loop, Peers& peers, RecoveryDriverOptions options,
                               std::function<void(bool)> finished)
    : loop_(loop),
      peers_(peers),
      options_(std::move(options)),
      finished_(std::move(finished)),
      machine_(machine_of(options_)) {}

void RecoveryDriver::on_timer(Instant) { feed(recovery_event::TimerFired{}); }

void RecoveryDriver::feed(const RecoveryEvent& event) {
  if (is_over_) return;
  RecoveryEffects effects;
  std::visit([&](auto& machine) { machine.handle(event, loop_.now(), effects); }, machine_);
  for (const RecoveryEffect& each : effects) {
    if (!is_over_) perform(each);
  }
  if (is_over_) return;
  cancel();
  const auto deadline =
      std::visit([](const auto& machine) { return machine.deadline(); }, machine_);
  if (deadline) loop_.arm(*this, *deadline);
}

void RecoveryDriver::perform(const RecoveryEffect& effect) {
  namespace kind = recovery_effect;
  if (const auto* const each = std::get_if<kind::Keep>(&effect)) {
    keep(each->record);
  } else if (std::holds_alternative<kind::Forget>(effect)) {
    io::LinuxFiles files;
    const auto removed = files.remove(path_in(options_.folder));
    if (!removed && removed.error().code() != ErrorCode::kNotFound) {
      options_.say(removed.error().message());
    }
  } else if (const auto* const look_effect = std::get_if<kind::Look>(&effect)) {
    look(look_effect->is_full);
  } else if (const auto* const act_effect = std::get_if<kind::Act>(&effect)) {
    act(*act_effect);
  } else if (const auto* const say = std::get_if<kind::Say>(&effect)) {
    options_.say(say->line);
  } else if (const auto* const end = std::get_if<kind::Finish>(&effect)) {
    is_over_ = true;
    cancel();
    finished_(end->is_good);
  }
}

void RecoveryDriver::look(bool is_full) {
  for (std::size_t i = 0; i < members().size(); ++i) {
    const std::string& name = members()[i];
    std::vector<std::string> words = {"galera", "evidence"};
    if (!is_full) words.push_back("--quick");
    const auto added = options_.added(name);
    words.insert(words.end(), added.begin(), added.end());
    peers_.run(name, std::move(words), kEvidenceWithin, [this, i, name](Result<std::string> text) {
      recovery_event::Told told;
      told.member = i;
      auto evidence = evidence_in(name, text);
      if (evidence) {
        told.evidence = std::move(*evidence);
      } else {
        told.missing = evidence.error().message();
      }
      feed(told);
    });
  }
}

void RecoveryDriver::act(const recovery_effect::Act& act) {
  const std::string& name = members()[act.member];
  std::vector<std::string> words = {"galera", "member", std::string(name_of(act.action)), "--run",
                                    options_.record.run};
  if (act.action == MemberAction::kClaim || act.action == MemberAction::kRelease) {
    for (const std::string& earlier : options_.record.earlier_runs) {
      words.insert(words.end(), {"--earlier", earlier});
    }
  }
  if (act.expected.is_known()) words.insert(words.end(), {"--at", act.expected.text()});
  const auto added = options_.added(name);
  words.insert(words.end(), added.begin(), added.end());
  const Duration within = act.action == MemberAction::kBootstrap ? kBootstrapWithin : kActWithin;
  peers_.run(name, std::move(words), within, [this, act](Result<std::string> text) {
    feed(recovery_event::Acted{act.member, act.action, text.has_value(),
                               text ? "" : text.error().message()});
  });
}

// What cannot be written down is not done: nobody could go on after a crash.
void RecoveryDriver::keep(const RecoveryRecord& record) {
  io::LinuxFiles files;
  const auto kept = files.replace(path_in(options_.folder), render_record(record), 0600);
  if (kept) return;
  options_.say("REFUSED: " + kept.error().message());
  is_over_ = true;
  cancel();
  finished_(false);
}

}  // namespace nines::galera
