// The recorder beside real kernels: two hosts as namespaces on a bridge. Its lines come through a
// pipe, so that the test waits for what it has seen and for nothing else.
#include "lab/ownership_recorder.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/linux/netlink.h"

namespace nines::lab {
namespace {

using Kind = OwnershipEvent::Kind;

SocketAddress ip(std::string_view text) { return *SocketAddress::parse_ip(text, 0); }
const SocketAddress kAddress = ip("10.9.0.100");

constexpr int kAnswerDeadline = 20'000;  // milliseconds

Instant boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
}

io::Descriptor own_network() {
  return io::Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

std::string arp_frame(int operation, std::string_view hardware, std::string_view sender,
                      std::string_view target) {
  std::string frame(6, '\xff');
  frame += hardware;
  frame += std::string_view("\x08\x06\x00\x01\x08\x00\x06\x04\x00", 9);
  frame += static_cast<char>(operation);
  frame += hardware;
  frame += ip(sender).ip_bytes();
  frame += std::string(6, '\0');
  frame += ip(target).ip_bytes();
  return frame;
}
constexpr std::string_view kHardware("\x02\x00\x00\x00\x00\x0a", 6);

TEST(OwnershipLines, EveryKindComesBackAsItWent) {
  const Instant at{4'711'123'456'789};
  for (const OwnershipEvent& event : std::vector<OwnershipEvent>{
           {.kind = Kind::kBegan, .at = at},
           {.kind = Kind::kLost, .at = at, .host = "switch"},
           {.kind = Kind::kHeld, .at = at, .host = "node01", .address = kAddress},
           {.kind = Kind::kReleased, .at = at, .host = "node01", .address = ip("2001:db8::1")},
           {.kind = Kind::kAnnounced,
           .at = at,
           .host = "b",
           .address = kAddress,
           .hardware = "02:00"},
           {.kind = Kind::kAnswered,
           .at = at,
           .host = "b",
           .address = kAddress,
           .hardware = "02:00"},
           {.kind = Kind::kDied, .at = at, .host = "node01"},
           {.kind = Kind::kReturned, .at = at, .host = "node01"},
           {.kind = Kind::kCut, .at = at, .host = "node01"},
           {.kind = Kind::kHealed, .at = at, .host = "node01"}}) {
    const std::string line = format_ownership_line({}, event);
    const auto found = parse_ownership_lines(line);
    ASSERT_EQ(found.size(), 1U) << line;
    EXPECT_EQ(found[0], event) << line;
  }
}

TEST(OwnershipLines, WhatIsNoEventIsLeftOut) {
  const std::string stamp = "1970-01-01T00:00:00.000000Z 1.000000000 ";
  EXPECT_FALSE(parse_ownership_line(stamp + "held node01"));
  EXPECT_FALSE(parse_ownership_line(stamp + "held node01 10.9.0.300"));
  EXPECT_FALSE(parse_ownership_line(stamp + "held node01 10.9.0.1 more"));
  EXPECT_FALSE(parse_ownership_line(stamp + "owned node01 10.9.0.1"));
  EXPECT_FALSE(parse_ownership_line(stamp));
  EXPECT_FALSE(parse_ownership_line("held node01 10.9.0.1"));
  // The second is still being written.
  EXPECT_EQ(parse_ownership_lines(stamp + "began\n" + stamp + "died node0").size(), 1U);
}

TEST(ArpClaim, IsAnAnnouncementOrAnAnswer) {
  for (const int operation : {1, 2}) {
    const auto claim = parse_arp_claim(arp_frame(operation, kHardware, "10.9.0.100", "10.9.0.100"));
    ASSERT_TRUE(claim);
    EXPECT_EQ(claim->kind, Kind::kAnnounced);
    EXPECT_EQ(claim->address, kAddress);
    EXPECT_EQ(claim->hardware, "02:00:00:00:00:0a");
  }
  const auto reply = parse_arp_claim(arp_frame(2, kHardware, "10.9.0.100", "10.9.0.1"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->kind, Kind::kAnswered);
}

TEST(ArpClaim, IsNothingElse) {
  EXPECT_FALSE(parse_arp_claim(arp_frame(1, kHardware, "10.9.0.1", "10.9.0.100")));  // a question
  EXPECT_FALSE(parse_arp_claim(arp_frame(1, kHardware, "0.0.0.0", "0.0.0.0")));
  EXPECT_FALSE(parse_arp_claim(arp_frame(1, kHardware, "0.0.0.0", "10.9.0.100")));  // a probe
  std::string frame = arp_frame(1, kHardware, "10.9.0.100", "10.9.0.100");
  EXPECT_FALSE(parse_arp_claim(std::string_view(frame).substr(0, frame.size() - 1)));
  frame[13] = '\x00';  // IPv4
  EXPECT_FALSE(parse_arp_claim(frame));
  EXPECT_FALSE(parse_arp_claim({}));
}

// A host from the outside: its namespace, and a way to change its addresses.
struct TestHost {
  std::string name;
  io::Descriptor network;
  io::Netlink netlink;
  int link = 0;
  int switch_port = 0;
};

class OwnershipRecorderTest : public testing::Test {
 protected:
  void SetUp() override {
    home_ = own_network();
    ASSERT_TRUE(home_);
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no right to make a network namespace";
    switch_network_ = own_network();
    auto netlink = io::Netlink::open();
    ASSERT_TRUE(netlink.has_value());
    ASSERT_TRUE(netlink->add_bridge("br0").has_value());
    bridge_ = netlink->find_link("br0")->index;
    ASSERT_TRUE(netlink->set_link_state(bridge_, io::LinkState::kUp).has_value());
    switch_.emplace(*std::move(netlink));
    for (const char* name : {"node01", "node02"}) add_host(name);
    ASSERT_EQ(::setns(switch_network_.get(), CLONE_NEWNET), 0);

    std::string folder = testing::TempDir() + "ownership-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    ASSERT_EQ(::mkfifo((folder_ + "/lines").c_str(), 0600), 0);
    // Both ends, so that neither side waits for the other and a recorder may come again.
    lines_ = io::Descriptor(::open((folder_ + "/lines").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    ASSERT_TRUE(lines_);
  }
  void TearDown() override {
    stop_recorder();
    if (!folder_.empty()) {
      ::unlink((folder_ + "/lines").c_str());
      ::rmdir(folder_.c_str());
    }
    ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
  }

  void add_host(const char* name) {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    auto network = own_network();
    const std::string port = std::string("v-") + name;
    ASSERT_TRUE(switch_->add_veth(port, "eth0", network.get()).has_value());
    const int index = switch_->find_link(port)->index;
    ASSERT_TRUE(switch_->set_link_master(index, bridge_).has_value());
    ASSERT_TRUE(switch_->set_link_state(index, io::LinkState::kUp).has_value());
    auto netlink = io::Netlink::open();
    ASSERT_TRUE(netlink.has_value());
    const int link = netlink->find_link("eth0")->index;
    ASSERT_TRUE(netlink->set_link_state(link, io::LinkState::kUp).has_value());
    hosts_.push_back({.name = name,
                      .network = std::move(network),
                      .netlink = *std::move(netlink),
                      .link = link,
                      .switch_port = index});
  }

  void start_recorder() {
    OwnershipRecorderPlan plan{
        .switch_network = switch_network_.get(), .hosts = {}, .path = folder_ + "/lines"};
    for (const auto& host : hosts_) {
      plan.hosts.push_back({host.name, host.network.get(), host.switch_port});
    }
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    io::Descriptor reading(ends[0]);
    io::Descriptor writing(ends[1]);
    recorder_ = ::fork();
    ASSERT_GE(recorder_, 0);
    if (recorder_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      reading.reset();
      ::_exit(run_ownership_recorder(plan, ReadySignal(std::move(writing))));
    }
    writing.reset();
    char word = 0;
    ASSERT_EQ(::read(reading.get(), &word, 1), 1) << "the recorder did not become ready";
  }
  void stop_recorder() {
    if (recorder_ <= 0) return;
    ::kill(recorder_, SIGKILL);
    ::waitpid(recorder_, nullptr, 0);
    recorder_ = 0;
  }

  io::InterfaceAddress interface_address(const TestHost& host) {
    return {.link = host.link, .address = kAddress, .prefix_length = 32};
  }
  void take(TestHost& host) {
    ASSERT_TRUE(host.netlink.add_address(interface_address(host)).has_value());
  }
  void drop(TestHost& host) {
    ASSERT_TRUE(host.netlink.delete_address(interface_address(host)).has_value());
  }
  TestHost& node01() { return hosts_[0]; }
  TestHost& node02() { return hosts_[1]; }

  // Sends a frame, with the host's own hardware address in it, out of its eth0.
  std::string send_arp(const TestHost& host, int operation, const char* target, int times = 1) {
    EXPECT_EQ(::setns(host.network.get(), CLONE_NEWNET), 0);
    const io::Descriptor out(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::setns(switch_network_.get(), CLONE_NEWNET), 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "eth0");
    EXPECT_EQ(::ioctl(out.get(), SIOCGIFHWADDR, &request), 0);
    const std::string_view hardware(request.ifr_hwaddr.sa_data, 6);
    const std::string frame = arp_frame(operation, hardware, "10.9.0.100", target);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = host.link;
    for (int i = 0; i < times; ++i) {
      EXPECT_EQ(::sendto(out.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to),
                         sizeof to),
                static_cast<ssize_t>(frame.size()));
    }
    return parse_arp_claim(arp_frame(2, hardware, "10.9.0.100", target))->hardware;
  }

  // Reads on until an event of this kind at this host about kAddress, or about no address.
  OwnershipEvent wait_for(Kind kind, std::string_view host = {}) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kAnswerDeadline);
    while (true) {
      for (; seen_ < events_.size(); ++seen_) {
        const auto& event = events_[seen_];
        const bool other = event.address.is_ip() && event.address != kAddress;
        if (event.kind == kind && event.host == host && !other) return events_[seen_++];
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd waiting{lines_.get(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) {
        ADD_FAILURE() << "not recorded in time; so far:\n" << text_;
        return {};
      }
      std::array<char, 65536> bytes;
      const ssize_t size = ::read(lines_.get(), bytes.data(), bytes.size());
      if (size > 0) text_.append(bytes.data(), static_cast<std::size_t>(size));
      events_ = parse_ownership_lines(text_);
    }
  }
  OwnershipReport report(Instant begin, Instant end) {
    Ownership ownership(kAddress);
    for (const auto& event : events_) ownership.handle(event);
    return ownership.report(begin, end);
  }
  int count(Kind kind) const {
    int found = 0;
    for (const auto& event : events_) found += event.kind == kind && event.address == kAddress;
    return found;
  }

  io::Descriptor home_, switch_network_, lines_;
  std::optional<io::Netlink> switch_;
  int bridge_ = 0;
  std::vector<TestHost> hosts_;
  std::string folder_;
  int recorder_ = 0;
  std::string text_;
  std::vector<OwnershipEvent> events_;
  std::size_t seen_ = 0;
};

TEST_F(OwnershipRecorderTest, OverlapAndOutageAreMeasured) {
  take(node01());
  start_recorder();
  const auto began = wait_for(Kind::kBegan);
  EXPECT_EQ(wait_for(Kind::kHeld, "node01").at, began.at);

  const Instant begin = boot_time();
  take(node02());
  const auto both = wait_for(Kind::kHeld, "node02");
  const Instant before_drop = boot_time();
  drop(node01());
  const auto one = wait_for(Kind::kReleased, "node01");
  drop(node02());
  const auto none = wait_for(Kind::kReleased, "node02");
  take(node01());
  const auto again = wait_for(Kind::kHeld, "node01");
  const Instant end = boot_time();

  EXPECT_GT(both.at, begin);
  EXPECT_LT(both.at, before_drop);
  const auto found = report(begin, end);
  EXPECT_TRUE(found.complete);
  EXPECT_EQ(found.before, std::vector<std::string>{"node01"});
  EXPECT_EQ(found.after, std::vector<std::string>{"node01"});
  EXPECT_EQ(found.overlap.count, 1);
  EXPECT_EQ(found.overlap.total, one.at - both.at);
  EXPECT_GE(found.overlap.total, before_drop - both.at);
  EXPECT_EQ(found.nobody.count, 1);
  EXPECT_EQ(found.nobody.total, again.at - none.at);
}

TEST_F(OwnershipRecorderTest, RenewalsAreNoChanges) {
  start_recorder();
  auto address = interface_address(node01());
  address.valid_lifetime = address.preferred_lifetime = 100;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(node01().netlink.replace_address(address).has_value());
  }
  drop(node01());
  wait_for(Kind::kReleased, "node01");
  EXPECT_EQ(count(Kind::kHeld), 1);
  EXPECT_EQ(count(Kind::kReleased), 1);
}

TEST_F(OwnershipRecorderTest, AddressOnTwoLinksIsHeldUntilItIsOnNone) {
  start_recorder();
  take(node01());
  wait_for(Kind::kHeld, "node01");
  auto second = interface_address(node01());
  second.link = node01().netlink.find_link("lo")->index;
  ASSERT_TRUE(node01().netlink.add_address(second).has_value());
  drop(node01());
  ASSERT_TRUE(node01().netlink.delete_address(second).has_value());
  wait_for(Kind::kReleased, "node01");
  EXPECT_EQ(count(Kind::kHeld), 1);
  EXPECT_EQ(count(Kind::kReleased), 1);
}

TEST_F(OwnershipRecorderTest, AnnouncementsAreCountedByThePortTheyCameFrom) {
  start_recorder();
  const Instant begin = boot_time();
  const std::string hardware = send_arp(node02(), 1, "10.9.0.100", 5);
  send_arp(node01(), 1, "10.9.0.1");  // asks, and claims nothing
  send_arp(node01(), 2, "10.9.0.2");
  EXPECT_GT(wait_for(Kind::kAnswered, "node01").at, begin);
  const auto found = report(begin, boot_time());
  EXPECT_EQ(found.announced, (std::map<std::string, int>{{"node02", 5}}));
  EXPECT_EQ(found.answered, (std::map<std::string, int>{{"node01", 1}}));
  for (const auto& event : events_) {
    if (event.kind == Kind::kAnnounced) {
      EXPECT_EQ(event.hardware, hardware);
    }
  }
}

TEST_F(OwnershipRecorderTest, StormOfAnnouncementsIsBounded) {
  start_recorder();
  send_arp(node02(), 1, "10.9.0.100", 3000);
  wait_for(Kind::kLost, "switch");
  EXPECT_GT(count(Kind::kAnnounced), 0);
  EXPECT_LT(count(Kind::kAnnounced), 3000);
  EXPECT_FALSE(report(events_.front().at + 1ns, boot_time()).complete);
}

TEST_F(OwnershipRecorderTest, KernelsOwnAnswerIsHeard) {
  auto own = interface_address(node02());
  own.address = ip("10.9.0.2");
  own.prefix_length = 24;
  ASSERT_TRUE(node02().netlink.add_address(own).has_value());
  take(node01());
  start_recorder();
  ASSERT_EQ(::setns(node02().network.get(), CLONE_NEWNET), 0);
  const io::Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::setns(switch_network_.get(), CLONE_NEWNET), 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  std::memcpy(&to.sin_addr, kAddress.ip_bytes().data(), 4);
  ASSERT_EQ(::sendto(socket.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 1);
  const auto answered = wait_for(Kind::kAnswered, "node01");
  EXPECT_EQ(answered.address, kAddress);
}

TEST_F(OwnershipRecorderTest, CutPortPutsItsHostBehindACut) {
  take(node01());
  start_recorder();
  ASSERT_TRUE(switch_->set_link_state(node01().switch_port, io::LinkState::kDown).has_value());
  const auto cut = wait_for(Kind::kCut, "node01");
  ASSERT_TRUE(switch_->set_link_state(node01().switch_port, io::LinkState::kUp).has_value());
  const auto healed = wait_for(Kind::kHealed, "node01");
  const auto found = report(cut.at, healed.at + 1ns);
  EXPECT_EQ(found.cut_off_before, std::vector<std::string>{});
  EXPECT_EQ(found.before, std::vector<std::string>{"node01"});
  EXPECT_EQ(found.nobody.total, healed.at - cut.at);
  EXPECT_EQ(found.after, std::vector<std::string>{"node01"});
}

TEST_F(OwnershipRecorderTest, CutAtTheStartIsKnown) {
  ASSERT_TRUE(switch_->set_link_state(node02().switch_port, io::LinkState::kDown).has_value());
  start_recorder();
  const auto began = wait_for(Kind::kBegan);
  EXPECT_EQ(wait_for(Kind::kCut, "node02").at, began.at);
}

TEST_F(OwnershipRecorderTest, LostEventsAreMadeUpForByAskingAnew) {
  take(node01());
  start_recorder();
  wait_for(Kind::kHeld, "node01");
  // Stopped, it cannot read: the kernel's buffer overflows, and the last word is not in it.
  ASSERT_EQ(::kill(recorder_, SIGSTOP), 0);
  ASSERT_EQ(::waitpid(recorder_, nullptr, WUNTRACED), recorder_);
  drop(node01());
  constexpr int kOverflow = 5000;
  auto other = interface_address(node02());
  other.address = ip("10.9.0.77");
  for (int i = 0; i < kOverflow; ++i) {
    ASSERT_TRUE(node02().netlink.add_address(other).has_value());
    ASSERT_TRUE(node02().netlink.delete_address(other).has_value());
  }
  take(node02());
  ASSERT_EQ(::kill(recorder_, SIGCONT), 0);
  wait_for(Kind::kLost, "node02");
  wait_for(Kind::kHeld, "node02");
  const auto found = report(events_.front().at + 1ns, boot_time());
  EXPECT_FALSE(found.complete);
  EXPECT_EQ(found.after, std::vector<std::string>{"node02"});
  // And it goes on as before.
  drop(node02());
  wait_for(Kind::kReleased, "node02");
}

TEST_F(OwnershipRecorderTest, RecorderThatComesAgainTellsAnew) {
  take(node01());
  start_recorder();
  wait_for(Kind::kHeld, "node01");
  stop_recorder();
  drop(node01());
  take(node02());
  start_recorder();
  wait_for(Kind::kBegan);
  wait_for(Kind::kHeld, "node02");
  EXPECT_EQ(report(boot_time(), boot_time()).before, std::vector<std::string>{"node02"});
}

}  // namespace
}  // namespace nines::lab
