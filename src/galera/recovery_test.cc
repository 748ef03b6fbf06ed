// The record that outlives a crash, and the order of a recovery's steps.
#include "galera/recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

using testing::HasSubstr;

TEST(RecoveryRecordTest, ThereAndBack) {
  RecoveryRecord record;
  record.run = "node01-7-8";
  record.earlier_runs = {"node01-1-2", "node01-3-4"};
  record.step = RecoveryStep::kBootstrapping;
  record.begun_by = "node02";
  record.has_reform_failed = true;
  record.is_automatic = true;
  record.has_acted = true;
  record.without = {"node03"};
  record.trust = {"node01"};
  const std::string text = render_record(record);
  EXPECT_EQ(parse_record(text).value(), record);
  for (std::size_t size = 0; size + 1 < text.size(); ++size) {
    EXPECT_FALSE(parse_record(text.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(parse_record("nines galera recovery 1\nrun: a\nstep: dancing\nend\n").has_value());
  record.earlier_runs.assign(kEarlierRunsMax + 5, "old");
  EXPECT_EQ(parse_record(render_record(record))->earlier_runs.size(), kEarlierRunsMax);
}

Evidence down_at(const std::string& name, std::int64_t seqno) {
  const Uuid history = "1b0ce6c6-c6b1-11f0-9b0e-9e2fd2c5a3f1";
  Evidence evidence;
  evidence.member = name;
  evidence.grastate = Grastate{{history, -1}, false};
  evidence.recovered = Position{history, seqno};
  return evidence;
}

// Every effect is answered as a good world would; what is done is told by name.
TEST(RecoveryTest, ItLooksClaimsLooksAgainAndBootstrapsOnlyThen) {
  RecoveryOptions options;
  options.members = {"node01", "node02"};
  RecoveryRecord record;
  record.run = "run";
  Recovery machine(options, record);
  RecoveryEffects effects;
  std::string story;
  Instant now{1'000'000'000};
  machine.handle(recovery_event::Start{}, now, effects);
  for (int round = 0; round < 20 && story.find("bootstrap") == story.npos; ++round) {
    const RecoveryEffects todo = std::exchange(effects, {});
    for (const auto& each : todo) {
      if (std::holds_alternative<recovery_effect::Look>(each)) {
        story += "look ";
        for (std::size_t i = 0; i < 2; ++i) {
          machine.handle(recovery_event::Told{i, down_at(options.members[i], i == 0 ? 10 : 12), ""},
                         now, effects);
        }
      } else if (const auto* const act = std::get_if<recovery_effect::Act>(&each)) {
        story += std::string(name_of(act->action)) + std::to_string(act->member) + ' ';
        machine.handle(recovery_event::Acted{act->member, act->action, true, ""}, now, effects);
      } else if (const auto* const keep = std::get_if<recovery_effect::Keep>(&each)) {
        story += "keep-" + std::string(name_of(keep->record.step)) + ' ';
      }
    }
  }
  EXPECT_THAT(story, HasSubstr("look keep-claiming claim0 claim1 keep-confirming look "
                               "keep-bootstrapping bootstrap1 "));
}

// Nines died after all was done and before it had given its claims back: nobody else could.
TEST(RecoveryTest, WhatGoesOnWithADeadRunGivesItsClaimsBackBeforeTheRecordGoes) {
  for (const bool is_release_lost : {false, true}) {
    RecoveryOptions options;
    options.members = {"node01", "node02"};
    RecoveryRecord record;
    record.run = "second";
    record.earlier_runs = {"first"};
    record.without = {"node02"};
    record.step = RecoveryStep::kRejoining;
    Recovery machine(options, record);
    RecoveryEffects effects;
    std::string story;
    Instant now{1'000'000'000};
    machine.handle(recovery_event::Start{}, now, effects);
    for (int round = 0; round < 20 && story.find("finish") == story.npos; ++round) {
      const RecoveryEffects todo = std::exchange(effects, {});
      for (const auto& each : todo) {
        if (std::holds_alternative<recovery_effect::Look>(each)) {
          for (std::size_t i = 0; i < 2; ++i) {
            Evidence evidence = down_at(options.members[i], 10);
            evidence.server = Evidence::Server::kPrimary;
            evidence.local_state = LocalState::kSynced;
            evidence.component_size = 2;
            evidence.running = {evidence.grastate->position.uuid, 10};
            evidence.recovered.reset();
            machine.handle(recovery_event::Told{i, evidence, ""}, now, effects);
          }
        } else if (const auto* const act = std::get_if<recovery_effect::Act>(&each)) {
          story += std::string(name_of(act->action)) + std::to_string(act->member) + ' ';
          const bool is_done = !is_release_lost || act->member == 0;
          machine.handle(recovery_event::Acted{act->member, act->action, is_done, ""}, now,
                         effects);
        } else if (const auto* const keep = std::get_if<recovery_effect::Keep>(&each)) {
          story += "keep ";
          // An outage of next month is not gone about with the words of this one.
          EXPECT_TRUE(keep->record.without.empty());
          EXPECT_EQ(keep->record.earlier_runs, std::vector<std::string>{"first"});
        } else if (std::holds_alternative<recovery_effect::Forget>(each)) {
          story += "forget ";
        } else if (std::holds_alternative<recovery_effect::Finish>(each)) {
          story += "finish";
        }
      }
      if (const auto deadline = machine.deadline()) {
        now = *deadline;
        machine.handle(recovery_event::TimerFired{}, now, effects);
      }
    }
    EXPECT_EQ(story, is_release_lost ? "keep release0 release1 finish"
                                     : "keep release0 release1 forget finish");
  }
}

// A real cluster under load: both members that were primary answered too late for one look, while a
// third took the state from them.
TEST(RecoveryTest, OneLookWithoutAnswersIsNoLostComponent) {
  RecoveryOptions options;
  options.members = {"node01", "node02", "node03"};
  RecoveryRecord record;
  record.run = "run";
  record.without = {"node03"};
  Recovery machine(options, record);
  Instant now{1'000'000'000};
  bool is_late = false, has_refused = false, has_joined = false;
  const auto evidence_of = [&](std::size_t i) {
    Evidence evidence = down_at(options.members[i], 10);
    if (i == 2 && !has_joined) {
      evidence.data = Evidence::Data::kEmpty;
      evidence.grastate.reset();
      evidence.recovered.reset();
      return evidence;
    }
    evidence.server = is_late || i == 2 ? Evidence::Server::kStarting : Evidence::Server::kPrimary;
    evidence.local_state = LocalState::kSynced;
    evidence.component_size = 2;
    evidence.running = {evidence.grastate->position.uuid, 10};
    evidence.recovered.reset();
    return evidence;
  };
  RecoveryEffects effects;
  machine.handle(recovery_event::Start{}, now, effects);
  for (int round = 0; round < 40 && !has_refused; ++round) {
    const RecoveryEffects todo = std::exchange(effects, {});
    is_late = has_joined && round % 3 == 0;
    for (const auto& each : todo) {
      if (std::holds_alternative<recovery_effect::Look>(each)) {
        for (std::size_t i = 0; i < options.members.size(); ++i) {
          machine.handle(recovery_event::Told{i, evidence_of(i), ""}, now, effects);
        }
      } else if (const auto* const act = std::get_if<recovery_effect::Act>(&each)) {
        has_joined = has_joined || act->action == MemberAction::kJoin;
        machine.handle(recovery_event::Acted{act->member, act->action, true, ""}, now, effects);
      } else if (const auto* const say = std::get_if<recovery_effect::Say>(&each)) {
        has_refused = has_refused || say->line.starts_with("REFUSED");
      }
    }
    if (const auto deadline = machine.deadline()) {
      now = *deadline;
      machine.handle(recovery_event::TimerFired{}, now, effects);
    }
  }
  EXPECT_TRUE(has_joined);
  EXPECT_FALSE(has_refused);
  EXPECT_EQ(machine.step(), RecoveryStep::kRejoining);
}

// Nines died when it had started one of the members that were to reform the component.
TEST(RecoveryTest, WhoWasStartedForAReformThatWasInterruptedIsNotWaitedFor) {
  RecoveryOptions options;
  options.members = {"node01", "node02"};
  RecoveryRecord record;
  record.run = "second";
  record.earlier_runs = {"first"};
  record.step = RecoveryStep::kReforming;
  record.has_acted = record.is_automatic = true;
  Recovery machine(options, record);
  const Instant begun{1'000'000'000};
  Instant now = begun;
  std::string story;
  bool is_waiting = true;
  RecoveryEffects effects;
  machine.handle(recovery_event::Start{}, now, effects);
  for (int round = 0; round < 40 && story.find("bootstrap") == story.npos; ++round) {
    const RecoveryEffects todo = std::exchange(effects, {});
    for (const auto& each : todo) {
      if (std::holds_alternative<recovery_effect::Look>(each)) {
        for (std::size_t i = 0; i < options.members.size(); ++i) {
          Evidence evidence = down_at(options.members[i], 10);
          if (i == 0 && is_waiting) {
            evidence.server = Evidence::Server::kStarting;
            evidence.is_closed = true;
            evidence.recovered.reset();
          }
          machine.handle(recovery_event::Told{i, evidence, ""}, now, effects);
        }
      } else if (const auto* const act = std::get_if<recovery_effect::Act>(&each)) {
        if (act->action == MemberAction::kStop) is_waiting = false;
        story += std::string(name_of(act->action)) + std::to_string(act->member) + ' ';
        machine.handle(recovery_event::Acted{act->member, act->action, true, ""}, now, effects);
      }
    }
    if (const auto deadline = machine.deadline()) {
      now = *deadline;
      machine.handle(recovery_event::TimerFired{}, now, effects);
    }
  }
  EXPECT_EQ(story, "claim0 claim1 stop0 bootstrap0 ");
  EXPECT_LT(now - begun, std::chrono::seconds(10));
}

// Hosts that came up started their servers, and one of those has not: the others wait for it.
TEST(RecoveryTest, ServersThatWaitInVainAreStoppedAndReadAndOneBegins) {
  RecoveryOptions options;
  options.members = {"node01", "node02", "node03"};
  RecoveryRecord record;
  record.run = "run";
  for (const bool is_closed : {true, false}) {
    Recovery machine(options, record);
    const Instant begun{1'000'000'000};
    Instant now = begun, stopped_at{};
    std::string story;
    bool is_waiting[3] = {true, false, true};
    RecoveryEffects effects;
    machine.handle(recovery_event::Start{}, now, effects);
    for (int round = 0; round < 200 && story.find("bootstrap") == story.npos &&
                        story.find("REFUSED") == story.npos;
         ++round) {
      const RecoveryEffects todo = std::exchange(effects, {});
      for (const auto& each : todo) {
        if (std::holds_alternative<recovery_effect::Look>(each)) {
          for (std::size_t i = 0; i < options.members.size(); ++i) {
            Evidence evidence = down_at(options.members[i], i == 2 ? 12 : 10);
            if (is_waiting[i]) {
              evidence.server = Evidence::Server::kStarting;
              evidence.is_closed = is_closed;
              evidence.recovered.reset();
            }
            machine.handle(recovery_event::Told{i, evidence, ""}, now, effects);
          }
        } else if (const auto* const act = std::get_if<recovery_effect::Act>(&each)) {
          if (act->action == MemberAction::kStop) is_waiting[act->member] = false, stopped_at = now;
          if (act->action != MemberAction::kClaim && act->action != MemberAction::kRelease) {
            story += std::string(name_of(act->action)) + std::to_string(act->member) + ' ';
          }
          machine.handle(recovery_event::Acted{act->member, act->action, true, ""}, now, effects);
        } else if (const auto* const say = std::get_if<recovery_effect::Say>(&each)) {
          if (say->line.starts_with("REFUSED")) story += say->line;
        }
      }
      if (const auto deadline = machine.deadline()) {
        now = *deadline;
        machine.handle(recovery_event::TimerFired{}, now, effects);
      }
    }
    if (is_closed) {
      EXPECT_EQ(story, "stop0 stop2 bootstrap2 ");
      EXPECT_GE(stopped_at, begun + options.starting_within);
    } else {
      // One that takes clients may be a primary that lets us not in.
      EXPECT_THAT(story, HasSubstr("REFUSED: node01's server takes clients"));
      EXPECT_EQ(stopped_at, Instant{});
    }
  }
}

}  // namespace
}  // namespace nines::galera
