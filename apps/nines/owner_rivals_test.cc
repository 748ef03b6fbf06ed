// Whose adverts are conflicts, and how often they are told of.
#include "owner_rivals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr Instant kT0{50'000'000'000};

SocketAddress ip(std::string_view text) { return *SocketAddress::parse_ip(text, 0); }

class RivalRecordTest : public testing::Test {
 protected:
  RivalRecordTest() : record_(config()) {}
  static vrrp::Config config() {
    vrrp::Config config;
    vrrp::VrrpInstance& instance = config.instances.emplace_back();
    instance.name = "internal";
    instance.interface = "eth0";
    instance.virtual_router_id = 51;
    vrrp::VirtualAddress& address = instance.addresses.emplace_back();
    address.address = ip("192.0.2.100");
    address.prefix_length = 32;
    address.device = "eth0";
    return config;
  }
  static vrrp::Packet advert(int router_id, std::string_view claimed, int priority = 200) {
    vrrp::Packet packet;
    packet.source = ip("192.0.2.50");
    packet.advert.router_id = static_cast<std::uint8_t>(router_id);
    packet.advert.priority = static_cast<std::uint8_t>(priority);
    packet.advert.addresses = {ip(claimed)};
    return packet;
  }
  RivalRecord record_;
};

// Where the holder of the cluster advertises, only it can tell that somebody else does.
TEST_F(RivalRecordTest, AMembersAdvertIsNoConflict) {
  const auto member = [](std::string_view) { return false; };
  const auto finding = record_.heard("eth0", advert(51, "192.0.2.100"), kT0, member);
  EXPECT_THAT(finding.line, IsEmpty());
  EXPECT_FALSE(finding.announce);
  EXPECT_THAT(record_.rivals(), IsEmpty());
  const auto stranger = [](std::string_view instance) { return instance == "internal"; };
  EXPECT_THAT(record_.heard("eth0", advert(51, "192.0.2.100"), kT0, stranger).line,
              HasSubstr("the VRRP router at 192.0.2.50"));
}

TEST_F(RivalRecordTest, WhoClaimsOurAddressIsToldOfOnceAMinuteAndAnsweredOnceASecond) {
  int lines = 0, announcements = 0;
  for (int i = 0; i < 125; ++i) {
    const auto finding =
        record_.heard("eth0", advert(7, "192.0.2.100"), kT0 + i * std::chrono::milliseconds(500));
    if (i == 0) {
      EXPECT_EQ(finding.line,
                "(internal) the VRRP router at 192.0.2.50 (virtual router 7, priority 200) claims "
                "192.0.2.100, which is held by lease: it is not obeyed, and has to be stopped");
    }
    lines += !finding.line.empty();
    announcements += finding.announce;
  }
  EXPECT_EQ(lines, 2);
  EXPECT_EQ(announcements, 63);
  ASSERT_EQ(record_.rivals().size(), 1u);
  EXPECT_EQ(record_.rivals()[0].adverts, 125u);
  EXPECT_EQ(record_.rivals()[0].router_id, 7);
}

TEST_F(RivalRecordTest, TheSameVirtualRouterIsAConflictWhateverItHolds) {
  EXPECT_THAT(record_.heard("eth0", advert(51, "192.0.2.9"), kT0).line,
              HasSubstr("claims the same router"));
}

TEST_F(RivalRecordTest, OthersAreLeftAlone) {
  EXPECT_THAT(record_.heard("eth0", advert(7, "192.0.2.9"), kT0).line, IsEmpty());
  EXPECT_THAT(record_.heard("eth1", advert(51, "192.0.2.100"), kT0).line, IsEmpty());
  EXPECT_THAT(record_.heard("eth0", advert(51, "192.0.2.100", 0), kT0).line, IsEmpty())
      << "it leaves";
  EXPECT_THAT(record_.rivals(), IsEmpty());
}

TEST_F(RivalRecordTest, NoMoreAreKeptThanThereIsRoomFor) {
  for (int i = 0; i < 100; ++i) {
    vrrp::Packet packet = advert(51, "192.0.2.100");
    packet.source = ip("198.51.100." + std::to_string(i + 1));
    record_.heard("eth0", packet, kT0);
  }
  EXPECT_EQ(record_.rivals().size(), RivalRecord::kRivalsMax);
  EXPECT_EQ(record_.unrecorded(), 100 - RivalRecord::kRivalsMax);
}

}  // namespace
}  // namespace nines
