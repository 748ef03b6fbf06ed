// A client and two hosts (network namespaces joined by one cable), one of them dead: where a
// connection to the dead one leads, for whom, on which ports, and for how long.
#include "address/stand_ins.h"

#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/linux/netlink.h"
#include "io/linux/socket.h"

namespace nines::address {
namespace {

using io::Descriptor;
using namespace std::chrono_literals;

constexpr std::uint16_t kQueue = 5672, kDatabase = 3306;
constexpr int kClient = 2, kDead = 10, kLiving = 11, kOther = 12;

SocketAddress at(int last, bool ipv6, std::uint16_t port = 0) {
  const std::string text = (ipv6 ? "2001:db8::" : "10.9.0.") + std::to_string(last);
  return *SocketAddress::parse_ip(text, port);
}

Instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant{time.tv_sec * 1'000'000'000LL + time.tv_nsec};
}

// A container may have neither the right nor the root of control groups.
bool may_be_missing(const Error& error) {
  return error.code() == ErrorCode::kUnsupported || error.code() == ErrorCode::kRefused;
}

std::vector<StoodInAddress> dead(Duration for_so_long, std::vector<int> living = {kLiving}) {
  std::vector<StoodInAddress> all;
  for (const bool ipv6 : {false, true}) {
    StoodInAddress one{.dead = at(kDead, ipv6), .living = {}, .until = now() + for_so_long};
    for (const int each : living) one.living.push_back(at(each, ipv6));
    all.push_back(std::move(one));
  }
  return all;
}

class StandInsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    home_ = current_namespace();
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespaces here";
    hosts_ = current_namespace();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    client_ = current_namespace();
    ASSERT_TRUE(io::Netlink::open()->add_veth("c0", "h0", hosts_.get()).has_value());
    bring_up("c0", {kClient});
    enter(hosts_);
    // The dead one's address is nobody's.
    bring_up("h0", {kLiving, kOther});
    for (const int last : {kLiving, kOther}) {
      for (const bool ipv6 : {false, true}) {
        for (const std::uint16_t port : {kQueue, kDatabase}) {
          listeners_.push_back(*io::open_listener(at(last, ipv6, port), {}));
        }
      }
    }
    enter(client_);
    ASSERT_TRUE(cable_carries());
    auto stand_ins = StandIns::create();
    if (!stand_ins.has_value() && may_be_missing(stand_ins.error())) {
      GTEST_SKIP() << stand_ins.error().message();
    }
    ASSERT_TRUE(stand_ins.has_value()) << stand_ins.error().message();
    stand_ins_.emplace(*std::move(stand_ins));
  }
  void TearDown() override {
    stand_ins_.reset();
    if (!home_) return;
    ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
  }

  static Descriptor current_namespace() {
    return Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }
  static void enter(const Descriptor& where) { ASSERT_EQ(::setns(where.get(), CLONE_NEWNET), 0); }
  static void bring_up(const std::string& name, std::initializer_list<int> addresses) {
    auto netlink = io::Netlink::open();
    for (const std::string& each : {std::string("lo"), name}) {
      const int link = netlink->find_link(each)->index;
      ASSERT_TRUE(netlink->set_link_state(link, io::LinkState::kUp).has_value());
    }
    for (const int last : addresses) {
      for (const bool ipv6 : {false, true}) {
        io::InterfaceAddress added{.link = netlink->find_link(name)->index,
                                   .address = at(last, ipv6)};
        added.prefix_length = ipv6 ? 64 : 24;
        if (ipv6) added.flags = IFA_F_NODAD;
        ASSERT_TRUE(netlink->add_address(added).has_value());
      }
    }
  }

  // The kernel notices up to a second after both ends are up, and drops what is sent before.
  static bool cable_carries() {
    constexpr int kTries = 50;
    for (const bool ipv6 : {false, true}) {
      int tries = 0;
      while (reached(at(kLiving, ipv6, kQueue)) != kLiving) {
        if (++tries == kTries) return false;
      }
    }
    return true;
  }

  // Whom a connection to it reaches: the last part of an address; 0: nobody so far, which on a
  // cable of memory means nobody.
  static int reached(const SocketAddress& to) {
    constexpr int kPatience = 200;  // ms
    const int family = to.family() == SocketAddress::Family::kIpv6 ? AF_INET6 : AF_INET;
    const Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto kernel = io::to_kernel(to);
    ::connect(socket.get(), kernel->get(), kernel->size);
    pollfd poll{.fd = socket.get(), .events = POLLOUT, .revents = 0};
    ::poll(&poll, 1, kPatience);
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &size) != 0) return 0;
    const std::string text = io::from_kernel(peer, size).ip_text();
    return std::stoi(text.substr(text.find_last_of(".:") + 1));
  }

  Descriptor home_, hosts_, client_;
  std::vector<Descriptor> listeners_;
  std::optional<StandIns> stand_ins_;
};

TEST_F(StandInsTest, AConnectionToADeadHostReachesALivingOne) {
  EXPECT_EQ(reached(at(kDead, false, kQueue)), 0);
  ASSERT_TRUE(stand_ins_->set(dead(1min), {kQueue}).has_value());
  EXPECT_EQ(reached(at(kDead, false, kQueue)), kLiving);
  EXPECT_EQ(reached(at(kDead, true, kQueue)), kLiving);
  EXPECT_EQ(reached(*SocketAddress::parse_ip("::ffff:10.9.0.10", kQueue)), kLiving)
      << "a socket of both families";
  EXPECT_EQ(reached(at(kDead, false, kDatabase)), 0) << "not asked for";
  EXPECT_EQ(reached(at(kOther, false, kQueue)), kOther) << "it lives";
  ASSERT_TRUE(stand_ins_->set({}, {kQueue}).has_value());
  EXPECT_EQ(reached(at(kDead, false, kQueue)), 0) << "nobody stands in any more";
  EXPECT_EQ(reached(at(kDead, true, kQueue)), 0);
}

TEST_F(StandInsTest, EachOfTheLivingGetsSome) {
  ASSERT_TRUE(stand_ins_->set(dead(1min, {kLiving, kOther}), {kQueue}).has_value());
  std::set<int> who;
  for (int i = 0; i < 64; ++i) who.insert(reached(at(kDead, i % 2 == 1, kQueue)));
  EXPECT_EQ(who, (std::set<int>{kLiving, kOther}));  // by chance alone it fails once in 2^62
}

TEST_F(StandInsTest, EndsByItself) {
  ASSERT_TRUE(stand_ins_->set(dead(-1ms), {kQueue}).has_value());
  EXPECT_EQ(reached(at(kDead, false, kQueue)), 0) << "it has passed";
  const Instant until = now() + 300ms;
  std::vector<StoodInAddress> wanted = dead(0ms);
  for (StoodInAddress& each : wanted) each.until = until;
  ASSERT_TRUE(stand_ins_->set(wanted, {kQueue}).has_value());
  int last = 0;
  do {
    ::poll(nullptr, 0, 10);  // nobody accepts: a backlog has its bounds
    last = reached(at(kDead, false, kQueue));
  } while (last == kLiving && now() < until + 5s);
  EXPECT_EQ(last, 0);
  EXPECT_GE(now(), until);
  // The last look began before the end of the time it was given, plus its own patience.
  EXPECT_LT(now(), until + 2s);
}

TEST_F(StandInsTest, OtherNetworksAreLeftAlone) {
  ASSERT_TRUE(stand_ins_->set(dead(1min), {kQueue}).has_value());
  enter(hosts_);
  EXPECT_EQ(reached(at(kDead, false, kQueue)), 0);
  EXPECT_EQ(reached(at(kDead, true, kQueue)), 0);
  enter(client_);
  EXPECT_EQ(reached(at(kDead, false, kQueue)), kLiving);
}

TEST_F(StandInsTest, NothingIsLeftOfAProcessThatWasKilled) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const Descriptor read_end(ready[0]);
  Descriptor write_end(ready[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool stands = stand_ins_->set(dead(1min), {kQueue}).has_value();
    if (::write(write_end.get(), stands ? "y" : "n", 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  // Its copies of our descriptors are all that is left of the attachment.
  write_end.reset();
  char answer = 0;
  ASSERT_EQ(::read(read_end.get(), &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_EQ(reached(at(kDead, false, kQueue)), kLiving);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(reached(at(kDead, false, kQueue)), 0);
}

TEST_F(StandInsTest, ADestinationWithoutALivingOneOfItsFamilyIsNobodys) {
  std::vector<StoodInAddress> wanted = dead(1min);
  wanted[0].living = {at(kLiving, true)};
  wanted[1].living.clear();
  ASSERT_TRUE(stand_ins_->set(wanted, {kQueue}).has_value());
  EXPECT_EQ(reached(at(kDead, false, kQueue)), 0);
  EXPECT_EQ(reached(at(kDead, true, kQueue)), 0);
}

TEST_F(StandInsTest, TooManyChangeNothing) {
  ASSERT_TRUE(stand_ins_->set(dead(1min), {kQueue}).has_value());
  std::vector<std::uint16_t> ports;
  for (std::uint16_t port = 1; port <= kStandInsMost / 2 + 1; ++port) ports.push_back(port);
  const auto refused = stand_ins_->set(dead(1min), ports);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kExhausted);
  EXPECT_EQ(reached(at(kDead, false, kQueue)), kLiving);
}

}  // namespace
}  // namespace nines::address
