// A client and a host that dies (network namespaces joined by one cable): what its clients hear
// while it is refused, what they hear of other ports and hosts, and what is left by whom.
#include "address/refusals.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address/session_killer.h"
#include "io/linux/netlink.h"
#include "io/linux/socket.h"

namespace nines::address {
namespace {

using io::Descriptor;
using testing::HasSubstr;

constexpr std::uint16_t kDatabase = 3306, kQueue = 5672, kSsh = 22;
constexpr int kPatience = 5000;  // ms; only a test that fails waits as long
// A SYN is repeated after a second: whoever is answered sooner was answered at once.
constexpr Duration kAtOnce = std::chrono::milliseconds(300);
constexpr int kClient = 2, kDead = 10, kLiving = 11;

SocketAddress at(int last, bool ipv6, std::uint16_t port = 0) {
  const std::string text = (ipv6 ? "2001:db8::" : "10.9.0.") + std::to_string(last);
  return *SocketAddress::parse_ip(text, port);
}

Instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant{time.tv_sec * 1'000'000'000LL + time.tv_nsec};
}

std::string output_of(const std::string& command) {
  std::string text;
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "cannot run " + command;
  std::array<char, 4096> part;
  while (const std::size_t size = std::fread(part.data(), 1, part.size(), pipe)) {
    text.append(part.data(), size);
  }
  ::pclose(pipe);
  return text;
}

// The error that a socket is told within `timeout` ms; 0: it is connected, none: nothing yet.
std::optional<int> told(const Descriptor& socket, int timeout) {
  pollfd poll{.fd = socket.get(), .events = POLLIN | POLLOUT, .revents = 0};
  if (::poll(&poll, 1, timeout) != 1) return std::nullopt;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

class RefusalsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    home_ = current_namespace();
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespaces here";
    host_ = current_namespace();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    client_ = current_namespace();
    {
      auto netlink = io::Netlink::open();
      ASSERT_TRUE(netlink->add_veth("c0", "h0", host_.get()).has_value());
    }
    bring_up("c0", {kClient});
    enter(host_);
    bring_up("h0", {kDead, kLiving});
    for (const int last : {kDead, kLiving}) {
      for (const bool ipv6 : {false, true}) {
        for (const std::uint16_t port : {kDatabase, kQueue, kSsh}) {
          listeners_.push_back(*io::open_listener(at(last, ipv6, port), {}));
        }
      }
    }
    enter(client_);
  }

  void TearDown() override {
    if (!home_) return;
    ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
  }

  static Descriptor current_namespace() {
    return Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }
  void enter(const Descriptor& where) { ASSERT_EQ(::setns(where.get(), CLONE_NEWNET), 0); }

  void bring_up(const std::string& name, std::initializer_list<int> addresses) {
    auto netlink = io::Netlink::open();
    ASSERT_TRUE(netlink.has_value());
    for (const std::string& each : {std::string("lo"), name}) {
      const int link = netlink->find_link(each)->index;
      ASSERT_TRUE(netlink->set_link_state(link, io::LinkState::kUp).has_value());
    }
    const int link = netlink->find_link(name)->index;
    for (const int last : addresses) {
      for (const bool ipv6 : {false, true}) {
        io::InterfaceAddress address{.link = link, .address = at(last, ipv6)};
        address.prefix_length = ipv6 ? 64 : 24;
        if (ipv6) address.flags = IFA_F_NODAD;
        ASSERT_TRUE(netlink->add_address(address).has_value());
      }
    }
  }

  // Everything for that address is swallowed, as by a host without power.
  void host_dies() {
    enter(host_);
    EXPECT_EQ(
        output_of("nft 'add table inet death; "
                  "add chain inet death in { type filter hook input priority raw; }; "
                  "add rule inet death in ip daddr 10.9.0.10 drop; "
                  "add rule inet death in ip6 daddr 2001:db8::10 tcp dport { 22, 3306, 5672 } "
                  "drop'"),
        "");
    enter(client_);
  }

  // Connecting: not awaited.
  static Descriptor connecting(const SocketAddress& to, bool mapped = false) {
    SocketAddress target = to;
    if (mapped) target = *SocketAddress::parse_ip("::ffff:" + to.ip_text(), to.port());
    const int family = target.family() == SocketAddress::Family::kIpv6 ? AF_INET6 : AF_INET;
    Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto kernel = io::to_kernel(target);
    if (::connect(socket.get(), kernel->get(), kernel->size) != 0 && errno != EINPROGRESS) {
      ADD_FAILURE() << "connect: " << std::strerror(errno);
    }
    return socket;
  }
  static Descriptor connected(const SocketAddress& to, bool mapped = false) {
    Descriptor socket = connecting(to, mapped);
    EXPECT_EQ(told(socket, kPatience), 0) << to.text();
    return socket;
  }
  static Refusals make() {
    auto refusals = Refusals::create();
    EXPECT_TRUE(refusals.has_value()) << refusals.error().message();
    return *std::move(refusals);
  }
  static std::vector<RefusedHost> dead(Duration time = std::chrono::hours(1)) {
    return {{.addresses = {at(kDead, false), at(kDead, true)}, .until = now() + time}};
  }
  const std::vector<SocketAddress> dead_addresses_ = {at(kDead, false), at(kDead, true)};
  const std::vector<std::uint16_t> ports_ = {kDatabase, kQueue};
  const std::vector<std::uint16_t> spared_{std::begin(kNeverRefused), std::end(kNeverRefused)};

  Descriptor home_, host_, client_;
  std::vector<Descriptor> listeners_, held_;
};

TEST_F(RefusalsTest, EveryClientOfADeadHostHearsAtOnce) {
  std::vector<Descriptor> established, connecting_ones, kept;
  for (const bool ipv6 : {false, true}) {
    established.push_back(connected(at(kDead, ipv6, kDatabase)));
    established.push_back(connected(at(kDead, ipv6, kQueue)));
    kept.push_back(connected(at(kDead, ipv6, kSsh)));
    kept.push_back(connected(at(kLiving, ipv6, kDatabase)));
  }
  established.push_back(connected(at(kDead, false, kDatabase), true));
  host_dies();
  for (const bool ipv6 : {false, true}) {
    connecting_ones.push_back(connecting(at(kDead, ipv6, kDatabase)));
  }
  connecting_ones.push_back(connecting(at(kDead, false, kQueue), true));
  for (const Descriptor& each : connecting_ones) EXPECT_EQ(told(each, 0), std::nullopt);

  Refusals refusals = make();
  ASSERT_TRUE(refusals.set(dead(), ports_).has_value());
  const auto destroyed = destroy_connections(dead_addresses_, ports_, spared_);
  ASSERT_TRUE(destroyed.has_value()) << destroyed.error().message();
  EXPECT_EQ(*destroyed, established.size() + connecting_ones.size());
  for (const Descriptor& each : established) EXPECT_EQ(told(each, kPatience), ECONNABORTED);
  for (const Descriptor& each : connecting_ones) EXPECT_EQ(told(each, kPatience), ECONNABORTED);
  for (const bool ipv6 : {false, true}) {
    for (const std::uint16_t port : ports_) {
      const Instant begun = now();
      EXPECT_EQ(told(connecting(at(kDead, ipv6, port)), kPatience), ECONNREFUSED);
      const Duration took = now() - begun;
      EXPECT_LT(took, kAtOnce);
      std::printf("refused after %.2f ms\n",
                  std::chrono::duration<double, std::milli>(took).count());
    }
  }
  // The way in is left alone, as is every other host.
  for (const Descriptor& each : kept) EXPECT_EQ(told(each, 0), 0);
  EXPECT_EQ(told(connecting(at(kDead, false, kSsh)), 0), std::nullopt);
  for (const bool ipv6 : {false, true}) connected(at(kLiving, ipv6, kDatabase));
  EXPECT_EQ(destroy_connections(dead_addresses_, ports_, spared_).value(), 0u);
}

// A session of a dead client holds its locks for as long as TCP waits for it.
TEST_F(RefusalsTest, WhatTheDeadHostsClientsHoldHereEndsToo) {
  const Descriptor database = *io::open_listener(at(kClient, false, kDatabase), {});
  const Descriptor ssh = *io::open_listener(at(kClient, false, kSsh), {});
  const auto accepted_from = [&](const Descriptor& listener, std::uint16_t to, std::uint16_t from) {
    enter(host_);
    Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto own = io::to_kernel(at(kDead, false, from));
    EXPECT_EQ(::bind(client.get(), own->get(), own->size), 0);
    const auto there = io::to_kernel(at(kClient, false, to));
    EXPECT_EQ(::connect(client.get(), there->get(), there->size), 0);
    enter(client_);
    held_.push_back(std::move(client));
    return Descriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  };
  const Descriptor session = accepted_from(database, kDatabase, 40001);
  // Whose own port is that of a service by chance.
  const Descriptor shell = accepted_from(ssh, kSsh, 40002);
  host_dies();
  EXPECT_EQ(destroy_connections(dead_addresses_, {kDatabase, 40002}, spared_).value(), 1u);
  EXPECT_EQ(told(session, kPatience), ECONNABORTED);
  EXPECT_EQ(told(shell, 0), 0);
}

TEST_F(RefusalsTest, WhatWasAboutToBeSentAgainIsRefusedThen) {
  host_dies();
  const Descriptor old = connecting(at(kDead, false, kDatabase));
  Refusals refusals = make();
  ASSERT_TRUE(refusals.set(dead(), ports_).has_value());
  // Nobody destroys it: the SYN that is repeated after a second hears the answer.
  EXPECT_EQ(told(old, kPatience), ECONNREFUSED);
}

TEST_F(RefusalsTest, AStrictFirewallLetsTheAnswerIn) {
  host_dies();
  Refusals refusals = make();
  ASSERT_TRUE(refusals.set(dead(), ports_).has_value());
  for (const char* const allowed : {"ct state established,related accept", "iifname lo accept"}) {
    EXPECT_EQ(output_of(std::string("nft 'add table inet strict; add chain inet strict in { type "
                                    "filter hook input priority 0; policy drop; }; add rule inet "
                                    "strict in ") +
                        allowed + "'"),
              "");
    const Instant begun = now();
    EXPECT_EQ(told(connecting(at(kDead, false, kDatabase)), kPatience), ECONNREFUSED) << allowed;
    EXPECT_LT(now() - begun, kAtOnce) << allowed;
    EXPECT_EQ(output_of("nft delete table inet strict"), "");
  }
}

TEST_F(RefusalsTest, ARefusalThatNobodyRenewsEndsByItself) {
  Refusals refusals = make();
  constexpr Duration kLife = std::chrono::milliseconds(400);
  const Instant begun = now();
  ASSERT_TRUE(refusals.set(dead(kLife), ports_).has_value());
  // The host lives: it is the rule that refuses, until it has run out.
  int refused = 0;
  Instant ended = begun;
  while (ended - begun < std::chrono::milliseconds(kPatience)) {
    const auto heard = told(connecting(at(kDead, false, kDatabase)), kPatience);
    ended = now();
    if (heard == 0) break;
    ASSERT_EQ(heard, ECONNREFUSED);
    ++refused;
  }
  EXPECT_GT(refused, 0);
  std::printf("asked for %d ms, ended after %.0f ms\n", 400,
              std::chrono::duration<double, std::milli>(ended - begun).count());
  EXPECT_LT(ended - begun, std::chrono::seconds(1));
}

TEST_F(RefusalsTest, RenewedItStandsAndTakenBackItIsGone) {
  Refusals refusals = make();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(refusals.set(dead(std::chrono::milliseconds(250)), ports_).has_value());
    EXPECT_EQ(told(connecting(at(kDead, true, kQueue)), kPatience), ECONNREFUSED);
  }
  const Instant begun = now();
  ASSERT_TRUE(refusals.set(dead(), ports_).has_value());
  ASSERT_TRUE(refusals.set({}, ports_).has_value());
  std::printf("a refusal and its end: %.3f ms\n",
              std::chrono::duration<double, std::milli>(now() - begun).count());
  connected(at(kDead, true, kQueue));
  EXPECT_EQ(output_of("nft list ruleset"), "") << "no packet passes a rule while nobody is dead";
  ASSERT_TRUE(refusals.set({}, ports_).has_value());
}

TEST_F(RefusalsTest, NothingIsLeftOfAProcessThatWasKilled) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Refusals refusals = make();
    const char good = refusals.set(dead(), ports_).has_value() ? 'y' : 'n';
    static_cast<void>(!::write(pipe[1], &good, 1));
    while (true) ::pause();
  }
  ::close(pipe[1]);
  char good = 0;
  ASSERT_EQ(::read(pipe[0], &good, 1), 1);
  ::close(pipe[0]);
  EXPECT_EQ(good, 'y');
  EXPECT_EQ(told(connecting(at(kDead, false, kDatabase)), kPatience), ECONNREFUSED);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  connected(at(kDead, false, kDatabase));
  EXPECT_EQ(output_of("nft list ruleset"), "");
}

TEST_F(RefusalsTest, NobodyElseFlushesOrTakesIt) {
  Refusals refusals = make();
  ASSERT_TRUE(refusals.set(dead(), ports_).has_value());
  output_of("nft flush ruleset");
  EXPECT_EQ(told(connecting(at(kDead, false, kDatabase)), kPatience), ECONNREFUSED);
  Refusals second = make();
  const auto refused = second.set(dead(), ports_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message(), HasSubstr("nines-dead-peers"));
  ASSERT_TRUE(refusals.set(dead(), ports_).has_value());
}

TEST_F(RefusalsTest, ReadsAsTheDocumentSays) {
  Refusals refusals = make();
  EXPECT_EQ(output_of("nft list ruleset"), "") << "the rehearsal left something";
  ASSERT_TRUE(refusals.set(dead(), {kDatabase}).has_value());
  const std::string text = output_of("nft list table inet nines-dead-peers");
  EXPECT_THAT(text, HasSubstr("flags owner"));
  EXPECT_THAT(text, HasSubstr("type ipv4_addr . inet_service"));
  EXPECT_THAT(text, HasSubstr("10.9.0.10 . 3306 timeout 59m59s"));
  EXPECT_THAT(text, HasSubstr("2001:db8::10 . 3306 timeout 59m59s"));
  EXPECT_THAT(text, HasSubstr("type filter hook output priority filter - 10; policy accept;"));
  EXPECT_THAT(text, HasSubstr("tcp flags syn / fin,syn,rst,ack ip daddr . tcp dport @dead4 counter "
                              "packets 0 bytes 0 reject with tcp reset"));
  EXPECT_THAT(text, HasSubstr("ip6 daddr . tcp dport @dead6 counter packets 0 bytes 0 reject with "
                              "tcp reset"));
}

TEST_F(RefusalsTest, AsMuchAsIsAllowedAtOnce) {
  std::vector<RefusedHost> hosts;
  for (int host = 0; host < 7; ++host) {
    RefusedHost& each = hosts.emplace_back(RefusedHost{.addresses = {}, .until = now() + 1h});
    for (std::size_t i = 0; i < kRefusedAddressesMax; ++i) {
      each.addresses.push_back(
          SocketAddress::ipv6({0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                               static_cast<std::uint8_t>(host), static_cast<std::uint8_t>(i)},
                              0));
    }
  }
  std::vector<std::uint16_t> ports;
  for (std::size_t i = 0; i < kRefusedPortsMax; ++i) {
    ports.push_back(static_cast<std::uint16_t>(8000 + i));
  }
  Refusals refusals = make();
  for (int i = 0; i < 3; ++i) {
    const Instant begun = now();
    const auto set = refusals.set(hosts, ports);
    ASSERT_TRUE(set.has_value()) << set.error().message();
    std::printf("%zu elements in %.2f ms\n", 7 * kRefusedAddressesMax * kRefusedPortsMax,
                std::chrono::duration<double, std::milli>(now() - begun).count());
  }
  // What is refused as a whole leaves what stood.
  hosts[0].addresses[0] = *SocketAddress::parse_ip("127.0.0.1", 0);
  EXPECT_EQ(refusals.set(hosts, ports).error().code(), ErrorCode::kInvalid);
}

TEST_F(RefusalsTest, WithoutTheCapabilityItIsRefused) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(65534) != 0) ::_exit(2);
    const auto refusals = Refusals::create();
    const bool right = !refusals.has_value() && refusals.error().code() == ErrorCode::kRefused &&
                       refusals.error().message().find("CAP_NET_ADMIN") != std::string::npos;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(RefusalsTest, ThisKernelCanDestroySockets) {
  const auto can = check_destroying();
  EXPECT_TRUE(can.has_value()) << can.error().message();
}

}  // namespace
}  // namespace nines::address
