// Evidence as a text: there and back, cut short, and damaged.
#include "galera/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

using testing::HasSubstr;

constexpr std::string_view kHistory = "1b0ce6c6-c6b1-11f0-9b0e-9e2fd2c5a3f1";
constexpr std::string_view kNode1 = "2f3fd3a1-c6b1-11f0-8a7f-0f1f6f0a3c01";

Evidence of_a_crash() {
  Evidence evidence;
  evidence.member = "node01";
  evidence.grastate = Grastate{{Uuid(kHistory), -1}, false};
  evidence.gvwstate = Gvwstate{Uuid(kNode1), "3 " + std::string(kNode1) + " 4", {Uuid(kNode1)}};
  evidence.recovered = Position{Uuid(kHistory), 1278};
  return evidence;
}

TEST(EvidenceTest, ThereAndBack) {
  Evidence running = of_a_crash();
  running.server = Evidence::Server::kPrimary;
  running.running = {Uuid(kHistory), 1300};
  running.component_size = 3;
  running.local_state = LocalState::kDonor;
  running.recovered.reset();
  running.recovered_fault = "not asked: the server runs";
  Evidence empty;
  empty.member = "node03";
  empty.data = Evidence::Data::kEmpty;
  empty.grastate_fault = "grastate.dat: No such file";
  empty.is_torn = true;
  empty.doubt = "InnoDB: a page is in the future";
  Evidence waiting = of_a_crash();
  waiting.server = Evidence::Server::kStarting;
  waiting.server_said = "Can't connect";
  waiting.is_closed = true;
  for (const Evidence& evidence : {of_a_crash(), running, empty, waiting}) {
    const auto back = parse_evidence("Welcome to node01\n" + render_evidence(evidence));
    ASSERT_TRUE(back.has_value()) << back.error().message() << render_evidence(evidence);
    EXPECT_EQ(*back, evidence);
  }
}

TEST(EvidenceTest, WhatWasCutShortIsNone) {
  const std::string whole = render_evidence(of_a_crash());
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
    EXPECT_FALSE(parse_evidence(whole.substr(0, size)).has_value()) << size;
  }
}

TEST(EvidenceTest, AFaultIsOneLineWhateverItWas) {
  Evidence evidence = of_a_crash();
  evidence.recovered.reset();
  evidence.recovered_fault = "two\nlines\x1b[31m " + std::string(1000, 'x');
  const auto back = parse_evidence(render_evidence(evidence));
  ASSERT_TRUE(back.has_value());
  EXPECT_THAT(back->recovered_fault, HasSubstr("two lines [31m xxx"));
  EXPECT_LE(back->recovered_fault.size(), kFaultMax);
}

TEST(EvidenceTest, DamagedFieldsAreToldByTheirLine) {
  const auto refused = [](std::string_view field) {
    const auto parsed = parse_evidence(
        "nines galera evidence 1\nmember: a\nserver: down\n"
        "data: present\n" +
        std::string(field) + "\nend\n");
    return parsed.has_value() ? "taken" : parsed.error().message();
  };
  for (const char* const field :
       {"member: b", "recovered: here", "recovered: 1b0ce6c6-c6b1-11f0-9b0e-9e2fd2c5a3f1:-7",
        "status: x 1 4", "grastate: a safe", "unheard: of", "torn: no", "nothing"}) {
    EXPECT_THAT(refused(field), HasSubstr("evidence, line 5")) << field;
  }
  EXPECT_THAT(refused("status: 1b0ce6c6-c6b1-11f0-9b0e-9e2fd2c5a3f1:4 3 4"), HasSubstr("disagree"));
  EXPECT_THAT(parse_evidence("nines galera evidence 1\nend\n").error().message(),
              HasSubstr("no 'member'"));
}

}  // namespace
}  // namespace nines::galera
