// What monitoring reads, written out in full for one instance that has everything; that the real
// keepalived writes the same is for tests/compat.
#include "vrrp/vrrp_json.h"

#include <gtest/gtest.h>

#include "vrrp/vrrp_stats.h"

namespace nines::vrrp {
namespace {

SocketAddress address(const char* text) { return *SocketAddress::parse_ip(text, 0); }

InstanceReport full() {
  InstanceReport report;
  VrrpInstance& instance = report.instance;
  instance.name = "internal \"1\"";
  instance.interface = "eth0";
  instance.virtual_router_id = 51;
  instance.priority = 200;
  instance.advert_int = std::chrono::milliseconds(1500);
  instance.authentication = {AuthType::kPass, "secret12"};
  instance.track_interfaces.resize(2);
  instance.track_interfaces[0].name = "eth0";
  instance.track_interfaces[1].name = "eth1";
  VirtualAddress one;
  one.address = address("10.9.0.100");
  one.device = "eth0";
  VirtualAddress two;
  two.address = address("10.9.0.101");
  two.prefix_length = 24;
  two.device = "eth1";
  two.label = "eth1:x";
  two.scope = AddressScope::kLink;
  two.broadcast_computed = true;
  two.no_track = true;
  instance.addresses = {one, two};
  VirtualAddress three;
  three.address = address("fd00::5");
  three.prefix_length = 64;
  three.device = "eth0";
  three.home = three.nodad = three.noprefixroute = true;
  instance.excluded_addresses = {three};
  report.status.state = State::kMaster;
  report.status.priority = 202;
  report.status.master_priority = 202;
  report.status.followed_priority = 150;
  report.status.master_interval = instance.advert_int;
  report.status.counters.adverts_heard = 3;
  report.status.counters.adverts_sent = 4;
  report.status.counters.became_master = 1;
  report.status.counters.priority_zero_heard = 2;
  report.holding = true;
  report.scripts.master = {"/usr/bin/logger", "two words"};
  report.tracked_scripts = {{"/usr/bin/test", "-d", "/"}};
  report.errors.count(WireFault::kTimeToLive);
  report.errors.count(Rejection::kPassword, {});
  return report;
}

TEST(VrrpJson, AnInstanceHasKeepalivedsKeysInItsOrder) {
  EXPECT_EQ(
      json_text(std::vector{full()}),
      R"([{"data":{"iname":"internal \"1\"","dont_track_primary":0,"skip_check_adv_addr":0,)"
      R"("strict_mode":0,"vmac_ifname":"","ifp_ifname":"eth0","master_priority":150,)"
      R"("last_transition":0.000000,"garp_delay":5,"garp_refresh":0,"garp_rep":5,)"
      R"("garp_refresh_rep":1,"garp_lower_prio_delay":5,"garp_lower_prio_rep":5,)"
      R"("lower_prio_no_advert":0,"higher_prio_send_advert":0,"vrid":51,"base_priority":200,)"
      R"("effective_priority":202,"vipset":true,"promote_secondaries":false,"adver_int":1.5,)"
      R"("master_adver_int":1.5,"accept":1,"nopreempt":false,"preempt_delay":0,"state":2,)"
      R"("wantstate":2,"version":2,"smtp_alert":false,"notify_deleted":false,)"
      R"("script_master":"'\/usr\/bin\/logger' 'two words'",)"
      R"("vips":["10.9.0.100 dev eth0 scope global set",)"
      R"("10.9.0.101\/24 brd 10.9.0.255 dev eth1 scope link label eth1:x no_track set"],)"
      R"("evips":["fd00::5\/64 dev eth0 scope global home -nodad noprefixroute )"
      R"(preferred_lft forever set"],"track_ifp":["eth1"],)"
      R"("track_script":["'\/usr\/bin\/test' '-d' '\/'"],"auth_type":1,"auth_data":"secret12"},)"
      R"("stats":{"advert_rcvd":3,"advert_sent":4,"become_master":1,"release_master":0,)"
      R"("packet_len_err":0,"advert_interval_err":0,"ip_ttl_err":1,"invalid_type_rcvd":0,)"
      R"("addr_list_err":0,"invalid_authtype":0,"authtype_mismatch":0,"auth_failure":1,)"
      R"("pri_zero_rcvd":2,"pri_zero_sent":0}}])"
      "\n");
}

TEST(VrrpJson, WhatIsNotConfiguredHasNoKey) {
  InstanceReport report;
  report.instance.name = "bare";
  const std::string text = json_text(std::vector{report, report});
  for (const char* const key :
       {"script_", "script\"", "vips\"", "evips\"", "track_", "auth_data"}) {
    EXPECT_EQ(text.find("\"" + std::string(key)), std::string::npos) << key;
  }
  EXPECT_NE(text.find(R"("state":0,"wantstate":1)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(}},{"data":{"iname":"bare")"), std::string::npos) << text;
  EXPECT_EQ(json_text({}), "[]\n");
}

TEST(VrrpStats, EachCounterHasItsLine) {
  EXPECT_EQ(stats_text(std::vector{full()}),
            "VRRP Instance: internal \"1\"\n"
            "  Advertisements:\n"
            "    Received: 3\n"
            "    Sent: 4\n"
            "  Became master: 1\n"
            "  Released master: 0\n"
            "  Packet Errors:\n"
            "    Length: 0\n"
            "    TTL: 1\n"
            "    Invalid Type: 0\n"
            "    Advertisement Interval: 0\n"
            "    Address List: 0\n"
            "  Authentication Errors:\n"
            "    Invalid Type: 0\n"
            "    Type Mismatch: 0\n"
            "    Failure: 1\n"
            "  Priority Zero:\n"
            "    Received: 2\n"
            "    Sent: 0\n");
}

TEST(VrrpStats, EveryErrorIsCountedOnceAndInItsPlace) {
  PacketErrors errors;
  Advert unknown;
  unknown.authentication_type = 9;
  errors.count(WireFault::kTooShort);
  errors.count(WireFault::kLength);
  errors.count(WireFault::kType);
  errors.count(WireFault::kInterval);
  errors.count(Rejection::kInterval, {});
  errors.count(Rejection::kAddresses, {});
  errors.count(Rejection::kAuthentication, {});
  errors.count(Rejection::kAuthentication, unknown);
  PacketErrors wanted;
  wanted.length = 2;
  wanted.type = 1;
  wanted.interval = 2;
  wanted.addresses = 1;
  wanted.authentication_other = 1;
  wanted.authentication_unknown = 1;
  EXPECT_EQ(errors, wanted);
  // keepalived has no counter for these.
  errors.count(WireFault::kChecksum);
  errors.count(WireFault::kVersion);
  errors.count(Rejection::kOwn, {});
  EXPECT_EQ(errors, wanted);
}

}  // namespace
}  // namespace nines::vrrp
