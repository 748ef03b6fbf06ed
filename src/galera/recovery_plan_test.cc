// Golden plans: testdata/plans/NAME.plan has an outage in a few words, a line "====" and what nines
// says to it. In the outage H and G are histories, V is a view of all members.
#include "galera/recovery_plan.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Uuid uuid_of(char letter) {
  if (letter == '0') return Uuid(kUuidUndefined);
  std::string uuid = "00000000-c6b1-11f0-9b0e-9e2fd2c5a3f1";
  for (int i = 0; i < 8; ++i) uuid[static_cast<std::size_t>(i)] = letter == 'H' ? 'a' : 'b';
  return uuid;
}

Uuid uuid_in_view(std::size_t member) {
  return "0000000" + std::to_string(member) + "-0000-11f0-8a7f-0f1f6f0a3c01";
}

Position position_of(std::string_view text) {
  return {uuid_of(text.front()), std::stoll(std::string(text.substr(2)))};
}

// "node01 down grastate=H:-1 view=4 recovered=H:12 torn doubt=WORD fault=WORD damaged empty"
MemberFacts member_of(const std::string& line, std::size_t number, std::size_t count) {
  std::istringstream words(line);
  MemberFacts facts;
  std::string server;
  words >> facts.name >> server;
  if (server == "missing") {
    std::getline(words, facts.missing);
    facts.missing.erase(0, facts.missing.find_first_not_of(' '));
    return facts;
  }
  Evidence& evidence = facts.evidence.emplace();
  evidence.member = facts.name;
  using Server = Evidence::Server;
  for (const Server each :
       {Server::kDown, Server::kStarting, Server::kNonPrimary, Server::kPrimary}) {
    if (name_of(each) == server) evidence.server = each;
  }
  EXPECT_EQ(name_of(evidence.server), server) << line;
  if (evidence.server == Server::kPrimary) evidence.local_state = LocalState::kSynced;
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    const std::string key = word.substr(0, equals);
    const std::string value = equals == word.npos ? "" : word.substr(equals + 1);
    if (key == "grastate") {
      evidence.grastate = Grastate{position_of(value), false};
    } else if (key == "safe") {
      evidence.grastate->safe_to_bootstrap = true;
    } else if (key == "recovered") {
      evidence.recovered = position_of(value);
    } else if (key == "at") {
      evidence.running = position_of(value);
    } else if (key == "size") {
      evidence.component_size = std::stoi(value);
    } else if (key == "view") {
      Gvwstate view;
      view.self = uuid_in_view(number);
      view.view = value;
      for (std::size_t i = 1; i <= count; ++i) view.members.push_back(uuid_in_view(i));
      evidence.gvwstate = view;
    } else if (key == "arbitrator") {
      evidence.gvwstate->members.push_back(uuid_in_view(count + 1));
    } else if (key == "damaged") {
      evidence.grastate_fault = "grastate.dat:1: no 'key: value': 'zeros'";
    } else if (key == "fault") {
      evidence.recovered_fault = value;
    } else if (key == "doubt") {
      evidence.doubt = value;
    } else if (key == "torn") {
      evidence.is_torn = true;
    } else if (key == "joining") {
      evidence.local_state = LocalState::kJoining;
    } else if (key == "closed") {
      evidence.is_closed = true;
    } else if (key == "said") {
      evidence.server_said = value;
    } else if (key == "empty") {
      evidence.data = Evidence::Data::kEmpty;
    } else {
      ADD_FAILURE() << "no such word: " << word;
    }
  }
  return facts;
}

PlanQuestion question_of(const std::string& text) {
  std::vector<std::string> lines;
  PlanQuestion question;
  std::istringstream stream(text);
  std::vector<std::pair<std::string, std::string>> words;
  for (std::string line; std::getline(stream, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream parts(line);
    std::string first, second;
    parts >> first >> second;
    if (first == "--without" || first == "--trust") {
      words.emplace_back(first, second);
    } else if (first == "begun-by") {
      question.begun_by = second;
    } else if (first == "waited") {
      question.has_waited = true;
    } else if (first == "reform-failed") {
      question.has_reform_failed = true;
    } else {
      lines.push_back(line);
    }
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    question.members.push_back(member_of(lines[i], i + 1, lines.size()));
  }
  for (const auto& [word, name] : words) {
    for (MemberFacts& facts : question.members) {
      if (facts.name != name) continue;
      (word == "--without" ? facts.is_excused : facts.is_trusted) = true;
    }
  }
  return question;
}

TEST(RecoveryPlanTest, GoldenPlans) {
  const std::filesystem::path folder = std::string(NINES_TESTDATA) + "/plans";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".plan") continue;
    SCOPED_TRACE(entry.path().filename().string());
    const std::string text = read(entry.path());
    const std::string mark = "====\n";
    const auto at = text.find(mark);
    ASSERT_NE(at, text.npos);
    const PlanQuestion question = question_of(text.substr(0, at));
    const std::string said = render_plan(question, plan_recovery(question));
    if (std::getenv("NINES_GOLDEN_WRITE") != nullptr) {
      std::ofstream(entry.path()) << text.substr(0, at) + mark + said;
    }
    EXPECT_EQ(said, text.substr(at + mark.size()));
    ++count;
  }
  EXPECT_GE(count, 20);
}

// What one host knows must not depend on the order in which the members are named.
TEST(RecoveryPlanTest, TheOrderOfMembersDecidesOnlyBetweenEquals) {
  PlanQuestion question = question_of(
      "node01 down grastate=H:-1 recovered=H:10\nnode02 down grastate=H:-1 recovered=H:12\n"
      "node03 down grastate=H:-1 recovered=H:11\n");
  do {
    const Plan plan = plan_recovery(question);
    EXPECT_EQ(plan.kind, PlanKind::kBootstrap);
    EXPECT_EQ(plan.chosen, "node02");
    EXPECT_THAT(plan.joining, testing::ElementsAre("node03", "node01"));
  } while (std::next_permutation(
      question.members.begin(), question.members.end(),
      [](const MemberFacts& a, const MemberFacts& b) { return a.name < b.name; }));
}

}  // namespace
}  // namespace nines::galera
