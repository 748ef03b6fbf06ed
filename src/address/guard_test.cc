// The guard between two hosts (network namespaces joined by one cable): what an address answers
// while its lease is shut, open, ended with nobody acting, renewed without pause, flushed by
// others.
#include "address/guard.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/capability.h>
#include <linux/if_addr.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address/nft_table.h"
#include "io/linux/netlink.h"
#include "io/linux/socket.h"

namespace nines::address {
namespace {

using io::Descriptor;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint16_t kPort = 7000;
// <linux/netfilter.h> does not go together with <netinet/in.h>.
constexpr std::uint8_t kNfprotoInet = 1, kNfprotoArp = 3;
constexpr int kPatience = 5000;  // ms; only a test that fails waits as long

// The same last byte in both families: .10 is a plain address of the host's own, .100 and .101 are
// guarded by lease 0 and 1; the client is .2.
enum class Kind { kUdp, kTcp, kIcmp, kArp, kUdp6, kTcp6, kIcmp6, kNeighbor };
constexpr std::array kKinds = {Kind::kUdp,  Kind::kTcp,  Kind::kIcmp,  Kind::kArp,
                               Kind::kUdp6, Kind::kTcp6, Kind::kIcmp6, Kind::kNeighbor};
constexpr int kClient = 2, kPlain = 10, kFirst = 100, kSecond = 101;

std::ostream& operator<<(std::ostream& out, Kind kind) {
  constexpr std::array names = {"UDP",  "TCP",  "ICMP",  "ARP",
                                "UDP6", "TCP6", "ICMP6", "neighbour discovery"};
  return out << names[static_cast<std::size_t>(kind)];
}

bool is_ipv6(Kind kind) { return kind >= Kind::kUdp6; }

SocketAddress at(int last, bool ipv6, std::uint16_t port = kPort) {
  const std::string text = (ipv6 ? "2001:db8::" : "10.9.0.") + std::to_string(last);
  return *SocketAddress::parse_ip(text, port);
}

Instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant{time.tv_sec * 1'000'000'000LL + time.tv_nsec};
}

WallTime wall_now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return WallTime{time.tv_sec * 1'000'000'000LL + time.tv_nsec};
}

bool is_readable(int descriptor, int timeout) {
  pollfd poll{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, timeout) == 1;
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

std::vector<GuardedLease> two_leases(Instant first = {}, Instant second = {}) {
  return {{.addresses = {at(kFirst, false), at(kFirst, true)}, .open_until = first},
          {.addresses = {at(kSecond, false), at(kSecond, true)}, .open_until = second}};
}

// Two namespaces, one thread that is in one or the other. Sockets stay where they were made, so
// that both hosts' can be used from anywhere.
class GuardTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    home_ = current_namespace();
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespaces here";
    if (const auto guard = Guard::create(means()); !guard.has_value()) {
      ASSERT_EQ(means(), GuardMeans::kProgram) << guard.error().message();
      GTEST_SKIP() << guard.error().message();
    }
    client_ = current_namespace();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    host_ = current_namespace();
    // One processor has one queue: what was sent first has arrived first.
    CPU_ZERO(&processors_);
    ASSERT_EQ(::sched_getaffinity(0, sizeof processors_, &processors_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(::sched_getcpu(), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  }

  void TearDown() override {
    if (!home_) return;
    ::sched_setaffinity(0, sizeof processors_, &processors_);
    ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
  }

  static Descriptor current_namespace() {
    return Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }

  void enter(const Descriptor& where) { ASSERT_EQ(::setns(where.get(), CLONE_NEWNET), 0); }

  virtual GuardMeans means() const = 0;

  Guard make_guard() {
    auto guard = Guard::create(means());
    EXPECT_TRUE(guard.has_value()) << guard.error().message();
    return *std::move(guard);
  }

  void add_address(int link, int last) {
    auto netlink = io::Netlink::open();
    ASSERT_TRUE(netlink.has_value());
    for (const bool ipv6 : {false, true}) {
      io::InterfaceAddress address{.link = link, .address = at(last, ipv6)};
      address.prefix_length = ipv6 ? 64 : 24;
      if (ipv6) address.flags = IFA_F_NODAD;
      const auto added = netlink->add_address(address);
      ASSERT_TRUE(added.has_value()) << added.error().message();
    }
  }

  int bring_up(const std::string& name) {
    auto netlink = io::Netlink::open();
    const int lo = netlink->find_link("lo")->index;
    EXPECT_TRUE(netlink->set_link_state(lo, io::LinkState::kUp).has_value());
    const int link = netlink->find_link(name)->index;
    EXPECT_TRUE(netlink->set_link_state(link, io::LinkState::kUp).has_value());
    return link;
  }

  void add_neighbor(int link, const SocketAddress& address) {
    alignas(nlmsghdr) std::array<char, 256> buffer{};
    nlmsghdr* const header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = RTM_NEWNEIGH;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
    auto* const body = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ndmsg)));
    body->ndm_family = address.family() == SocketAddress::Family::kIpv4 ? AF_INET : AF_INET6;
    body->ndm_ifindex = link;
    body->ndm_state = NUD_PERMANENT;
    mnl_attr_put(header, NDA_DST, address.ip_bytes().size(), address.ip_bytes().data());
    mnl_attr_put(header, NDA_LLADDR, host_hardware_.size(), host_hardware_.data());
    const Descriptor route(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    ASSERT_EQ(::send(route.get(), header, header->nlmsg_len, 0), header->nlmsg_len);
  }

  static std::array<char, 6> hardware_of(const char* name) {
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    EXPECT_EQ(::ioctl(socket.get(), SIOCGIFHWADDR, &request), 0);
    std::array<char, 6> hardware{};
    std::memcpy(hardware.data(), request.ifr_hwaddr.sa_data, hardware.size());
    return hardware;
  }

  // The cable, the plain addresses; the guarded ones on the host that is told to have them.
  void connect_hosts() {
    {
      auto netlink = io::Netlink::open();
      const auto added = netlink->add_veth("h0", "c0", client_.get());
      ASSERT_TRUE(added.has_value()) << added.error().message();
    }
    host_link_ = bring_up("h0");
    host_hardware_ = hardware_of("h0");
    add_address(host_link_, kPlain);
    enter(client_);
    client_link_ = bring_up("c0");
    client_hardware_ = hardware_of("c0");
    add_address(client_link_, kClient);
    enter(host_);
  }

  // The host has the addresses and answers; the client knows the way without asking.
  void serve() {
    connect_hosts();
    for (const int last : {kFirst, kSecond}) add_address(host_link_, last);
    for (const int last : {kPlain, kFirst, kSecond}) {
      for (const bool ipv6 : {false, true}) {
        udp_[{last, ipv6}] = bound(SOCK_DGRAM, at(last, ipv6));
        listeners_[{last, ipv6}] = bound(SOCK_STREAM, at(last, ipv6));
        ASSERT_EQ(::listen(listeners_[{last, ipv6}].get(), 4096), 0);
      }
    }
    enter(client_);
    for (const int last : {kPlain, kFirst, kSecond}) {
      for (const bool ipv6 : {false, true}) add_neighbor(client_link_, at(last, ipv6));
    }
    for (const bool ipv6 : {false, true}) client_udp_[ipv6] = bound(SOCK_DGRAM, at(kClient, ipv6));
    echo_[0] = Descriptor(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
    echo_[1] =
        Descriptor(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
    const int hops = 255;  // neighbour discovery wants it (RFC 4861, section 7.1.1)
    ASSERT_EQ(::setsockopt(echo_[1].get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops),
              0);
    ASSERT_EQ(::setsockopt(echo_[1].get(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &client_link_,
                           sizeof client_link_),
              0);
    arp_ =
        Descriptor(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ARP)));
    sockaddr_ll link{};
    link.sll_family = AF_PACKET;
    link.sll_protocol = htons(ETH_P_ARP);
    link.sll_ifindex = client_link_;
    ASSERT_EQ(::bind(arp_.get(), reinterpret_cast<sockaddr*>(&link), sizeof link), 0);
    enter(host_);
  }

  static Descriptor bound(int type, const SocketAddress& address) {
    const bool ipv6 = address.family() == SocketAddress::Family::kIpv6;
    Descriptor socket(::socket(ipv6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto kernel = io::to_kernel(address);
    EXPECT_EQ(::bind(socket.get(), kernel->get(), kernel->size), 0) << address.text();
    return socket;
  }

  static bool send_to(const Descriptor& from, std::string_view bytes, const SocketAddress& to) {
    const auto kernel = io::to_kernel(to);
    return ::sendto(from.get(), bytes.data(), bytes.size(), 0, kernel->get(), kernel->size) ==
           static_cast<ssize_t>(bytes.size());
  }

  // Asks the guarded address, then the plain one by the same way; when that one has answered, the
  // first has, or never will.
  bool answers(Kind kind, int last = kFirst) {
    if (kind == Kind::kTcp || kind == Kind::kTcp6) return tcp_answers(is_ipv6(kind), last);
    if (kind == Kind::kUdp || kind == Kind::kUdp6) return udp_answers(is_ipv6(kind), last);
    const std::uint16_t mark = ++mark_;
    ask(kind, last, mark);
    ask(kind, kPlain, mark);
    bool answered = false;
    const Descriptor& socket = kind == Kind::kArp ? arp_ : echo_[is_ipv6(kind)];
    while (is_readable(socket.get(), kPatience)) {
      std::array<char, 2048> bytes;
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      const ssize_t count = ::recvfrom(socket.get(), bytes.data(), bytes.size(), 0,
                                       reinterpret_cast<sockaddr*>(&from), &size);
      if (count <= 0) continue;
      const int who =
          who_answered(kind, {bytes.data(), static_cast<std::size_t>(count)}, from, mark);
      if (who == kPlain) return answered;
      answered |= who == last;
    }
    ADD_FAILURE() << kind << ": the plain address does not answer";
    return false;
  }

  void ask(Kind kind, int last, std::uint16_t mark) {
    if (kind == Kind::kArp) {
      std::string frame(6, '\xff');
      frame.append(client_hardware_.data(), 6);
      frame.append(std::string("\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10));
      frame.append(client_hardware_.data(), 6).append(at(kClient, false).ip_bytes());
      frame.append(6, '\0').append(at(last, false).ip_bytes());
      ASSERT_EQ(::send(arp_.get(), frame.data(), frame.size(), 0),
                static_cast<ssize_t>(frame.size()));
      return;
    }
    if (kind == Kind::kIcmp) {
      icmphdr echo{};
      echo.type = ICMP_ECHO;
      echo.un.echo.sequence = mark;
      echo.checksum = static_cast<std::uint16_t>(~checksum(ICMP_ECHO, mark));
      ASSERT_TRUE(send_to(echo_[0], {reinterpret_cast<const char*>(&echo), sizeof echo},
                          at(last, false, 0)));
      return;
    }
    if (kind == Kind::kIcmp6) {
      icmp6_hdr echo{};
      echo.icmp6_type = ICMP6_ECHO_REQUEST;
      echo.icmp6_seq = mark;
      ASSERT_TRUE(send_to(echo_[1], {reinterpret_cast<const char*>(&echo), sizeof echo},
                          at(last, true, 0)));
      return;
    }
    nd_neighbor_solicit solicit{};
    solicit.nd_ns_type = ND_NEIGHBOR_SOLICIT;
    const std::string target(at(last, true).ip_bytes());
    std::memcpy(&solicit.nd_ns_target, target.data(), target.size());
    std::string bytes(reinterpret_cast<const char*>(&solicit), sizeof solicit);
    bytes.append("\x01\x01").append(client_hardware_.data(), 6);
    const std::string group = "ff02::1:ff00:" + std::to_string(last);
    ASSERT_TRUE(send_to(echo_[1], bytes, *SocketAddress::parse_ip(group, 0)));
  }

  static std::uint16_t checksum(std::uint16_t first, std::uint16_t mark) {
    const std::uint32_t sum = first + mark;
    return static_cast<std::uint16_t>((sum & 0xffff) + (sum >> 16));
  }

  // The last byte of who answered `mark`; 0 for anything else.
  static int who_answered(Kind kind, std::string_view bytes, const sockaddr_storage& from,
                          std::uint16_t mark) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    if (kind == Kind::kArp) {  // an answer's operation is 2, and names its sender
      return bytes.size() >= 42 && byte(21) == 2 ? byte(31) : 0;
    }
    if (kind == Kind::kIcmp) {
      if (bytes.size() < 28 || byte(20) != ICMP_ECHOREPLY) return 0;
      std::uint16_t found = 0;
      std::memcpy(&found, bytes.data() + 26, sizeof found);
      return found == mark ? byte(15) : 0;
    }
    const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(from);
    // "::100" is 0x100.
    const auto last_of = [](const std::uint8_t* ip) {
      const int value = ip[14] << 8 | ip[15];
      return value >> 8 & 15 ? (value >> 8) * 100 + (value >> 4 & 15) * 10 + (value & 15)
                             : (value >> 4) * 10 + (value & 15);
    };
    if (kind == Kind::kIcmp6) {
      icmp6_hdr echo{};
      if (bytes.size() < sizeof echo || byte(0) != ICMP6_ECHO_REPLY) return 0;
      std::memcpy(&echo, bytes.data(), sizeof echo);
      return echo.icmp6_seq == mark ? last_of(ipv6.sin6_addr.s6_addr) : 0;
    }
    if (bytes.size() < 24 || byte(0) != ND_NEIGHBOR_ADVERT) return 0;
    if (bytes.substr(8, 14) != at(kClient, true).ip_bytes().substr(0, 14)) return 0;
    return last_of(reinterpret_cast<const std::uint8_t*>(bytes.data()) + 8);
  }

  bool udp_answers(bool ipv6, int last) { return udp_ways(ipv6, last) == std::pair(true, true); }

  // Each way by itself: does the address hear, and does it speak, unasked if need be?
  std::pair<bool, bool> udp_ways(bool ipv6, int last) {
    const std::string mark = std::to_string(++mark_);
    EXPECT_TRUE(send_to(client_udp_[ipv6], mark, at(last, ipv6)));
    EXPECT_TRUE(send_to(client_udp_[ipv6], mark, at(kPlain, ipv6)));
    EXPECT_EQ(receive(udp_[{kPlain, ipv6}], mark, kPatience), mark);
    const bool heard = receive(udp_[{last, ipv6}], mark, 0) == mark;
    send_to(udp_[{last, ipv6}], mark + " from the address", at(kClient, ipv6));
    EXPECT_TRUE(send_to(udp_[{kPlain, ipv6}], mark, at(kClient, ipv6)));
    bool spoke = false;
    while (true) {
      const std::string text = receive(client_udp_[ipv6], {}, kPatience);
      if (text == mark || text.empty()) break;
      spoke |= text == mark + " from the address";
    }
    return {heard, spoke};
  }

  // Waits for `wanted`, or for anything when that is empty; empty when nothing came.
  static std::string receive(const Descriptor& socket, std::string_view wanted, int timeout) {
    std::string bytes(256, '\0');
    while (is_readable(socket.get(), timeout)) {
      const ssize_t count = ::recv(socket.get(), bytes.data(), bytes.size(), 0);
      if (count < 0) continue;
      const std::string text = bytes.substr(0, static_cast<std::size_t>(count));
      if (wanted.empty() || text == wanted) return text;
    }
    return {};
  }

  bool tcp_answers(bool ipv6, int last) {
    enter(client_);
    const auto begin = [&](int to) {
      Descriptor socket(
          ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      const linger reset{.l_onoff = 1, .l_linger = 0};
      ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      const auto kernel = io::to_kernel(at(to, ipv6));
      ::connect(socket.get(), kernel->get(), kernel->size);
      return socket;
    };
    const Descriptor asked = begin(last);
    const Descriptor plain = begin(kPlain);
    enter(host_);
    const auto connected = [](const Descriptor& socket, int timeout) {
      pollfd poll{.fd = socket.get(), .events = POLLOUT, .revents = 0};
      return ::poll(&poll, 1, timeout) == 1 && (poll.revents & POLLERR) == 0;
    };
    EXPECT_TRUE(connected(plain, kPatience));
    const bool answered = connected(asked, 0);
    for (const int each : {kPlain, last}) {
      const int listener = listeners_[{each, ipv6}].get();
      while (true) {
        const Descriptor accepted(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
        if (!accepted) break;
      }
    }
    return answered;
  }

  void expect_answers(bool expected, int last) {
    for (const Kind kind : kKinds) EXPECT_EQ(answers(kind, last), expected) << kind;
  }

  // Sends what guard.h has no word for.
  static void commit(const std::function<void(NftBatch&)>& write) {
    NftBatch batch(1);
    write(batch);
    batch.finish(NftBatch::Ending::kCommit);
    const Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    ASSERT_EQ(::send(socket.get(), batch.bytes().data(), batch.bytes().size(), 0),
              static_cast<ssize_t>(batch.bytes().size()));
    alignas(nlmsghdr) std::array<char, 4096> bytes;
    ASSERT_GT(::recv(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT), 0);
    const auto* header = reinterpret_cast<const nlmsghdr*>(bytes.data());
    ASSERT_EQ(static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error, 0);
  }

  // A process that guards: `body` runs in it and reports to us once; then it waits to be stopped or
  // killed, and nothing of it is ever tidied up.
  struct Child {
    pid_t id = -1;
    Instant end{};
    ~Child() {
      if (id > 0) {
        ::kill(id, SIGKILL);
        ::waitpid(id, nullptr, 0);
      }
    }
  };
  using Report = std::function<void(Instant)>;
  static void start(Child& child, const std::function<void(const Report&)>& body) {
    std::array<int, 2> pipe;
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    child.id = ::fork();
    ASSERT_GE(child.id, 0);
    if (child.id == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      body([&](Instant end) {
        if (::write(pipe[1], &end, sizeof end) != sizeof end) ::_exit(1);
      });
      ::_exit(1);
    }
    ::close(pipe[1]);
    const ssize_t size = ::read(pipe[0], &child.end, sizeof child.end);
    ::close(pipe[0]);
    ASSERT_EQ(size, static_cast<ssize_t>(sizeof child.end));
    ASSERT_GT(child.end, Instant{});
  }

  void open_for_a_second(const Report& report) {
    Guard guard = make_guard();
    if (!guard.install(two_leases()).has_value()) return;
    const Instant end = now() + 1s;
    if (!guard.open_until(0, end).has_value()) return;
    report(end);
    while (true) ::pause();
  }

  // Nothing that is asked after `end` is answered; each kind was before.
  void expect_end_at(Instant end) {
    std::map<Kind, int> before;
    int after = 0;
    for (std::size_t i = 0; now() < end + 300ms || i < 100; ++i) {
      const Kind kind = kKinds[i % kKinds.size()];
      const Instant asked = now();
      const bool answered = answers(kind);
      if (asked >= end) {
        EXPECT_FALSE(answered) << kind << ", "
                               << std::chrono::duration<double, std::milli>(asked - end).count()
                               << " ms after the end";
        ++after;
      } else if (answered) {
        ++before[kind];
      }
    }
    for (const Kind kind : kKinds) EXPECT_GT(before[kind], 0) << kind;
    EXPECT_GE(after, static_cast<int>(kKinds.size()));
  }

  Descriptor home_, client_, host_;
  cpu_set_t processors_{};
  int host_link_ = 0, client_link_ = 0;
  std::array<char, 6> host_hardware_{}, client_hardware_{};
  std::map<std::pair<int, bool>, Descriptor> udp_, listeners_;
  std::array<Descriptor, 2> client_udp_, echo_;
  Descriptor arp_;
  std::uint16_t mark_ = 0;
};

class EitherGuard : public GuardTest, public testing::WithParamInterface<GuardMeans> {
 protected:
  GuardMeans means() const override { return GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(By, EitherGuard,
                         testing::Values(GuardMeans::kProgram, GuardMeans::kElements),
                         [](const auto& each) {
                           return each.param == GuardMeans::kProgram ? "Program" : "Elements";
                         });
class ProgramGuard : public GuardTest {
 protected:
  GuardMeans means() const override { return GuardMeans::kProgram; }
};
class ElementsGuard : public GuardTest {
 protected:
  GuardMeans means() const override { return GuardMeans::kElements; }
};

TEST_P(EitherGuard, AddressIsSilentUntilItsLeaseOpensAndAfterItCloses) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  serve();
  expect_answers(false, kFirst);
  expect_answers(false, kSecond);
  ASSERT_TRUE(guard.open_until(0, now() + 1h).has_value());
  expect_answers(true, kFirst);
  expect_answers(false, kSecond);
  ASSERT_TRUE(guard.open_until(1, now() + 1h).has_value());
  ASSERT_TRUE(guard.close(0).has_value());
  expect_answers(false, kFirst);
  expect_answers(true, kSecond);
  ASSERT_TRUE(guard.remove().has_value());
  expect_answers(true, kFirst);
  EXPECT_EQ(output_of("nft list ruleset"), "");
}

TEST_P(EitherGuard, ShutAddressNeitherHearsNorSpeaks) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  serve();
  for (const bool ipv6 : {false, true}) {
    EXPECT_EQ(udp_ways(ipv6, kFirst), std::pair(false, false));
    EXPECT_EQ(udp_ways(ipv6, kPlain), std::pair(true, true));
  }
  // A neighbour that asks is learnt from, unless the question is dropped.
  const auto is_known = [](const char* neighbor) {
    return output_of(std::string("ip neigh show ") + neighbor).find("lladdr") != std::string::npos;
  };
  const auto ask_unknown = [&] {
    EXPECT_EQ(output_of("ip neigh flush dev h0"), "");
    ask(Kind::kArp, kFirst, 0);
    ask(Kind::kNeighbor, kFirst, 0);
  };
  ask_unknown();
  EXPECT_FALSE(is_known("10.9.0.2"));
  EXPECT_FALSE(is_known("2001:db8::2"));
  ASSERT_TRUE(guard.open_until(0, now() + 1h).has_value());
  ask_unknown();
  const Instant begun = now();
  while (!(is_known("10.9.0.2") && is_known("2001:db8::2"))) ASSERT_LT(now(), begun + 5s);
}

// The kernel announces all of an interface's addresses when its hardware address changes.
TEST_P(EitherGuard, NobodyAnnouncesAShutAddress) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  serve();
  EXPECT_EQ(output_of("echo 1 > /proc/sys/net/ipv4/conf/h0/arp_notify;"
                      "echo 1 > /proc/sys/net/ipv6/conf/h0/ndisc_notify"),
            "");
  const auto announced = [&](Kind kind) {
    std::vector<int> found;
    const Descriptor& socket = kind == Kind::kArp ? arp_ : echo_[1];
    while (std::find(found.begin(), found.end(), kPlain) == found.end() &&
           is_readable(socket.get(), kPatience)) {
      std::array<char, 2048> bytes;
      const ssize_t size = ::recv(socket.get(), bytes.data(), bytes.size(), 0);
      if (size <= 0) continue;
      // An ARP announcement is a question for its own sender.
      const bool question = kind == Kind::kArp && size >= 42 && bytes[21] == 1;
      if (question && std::memcmp(&bytes[28], &bytes[38], 4) != 0) continue;
      if (question) bytes[21] = 2;
      const std::string_view answer(bytes.data(), static_cast<std::size_t>(size));
      if (const int who = who_answered(kind, answer, {}, 0); who != 0) found.push_back(who);
    }
    return found;
  };
  // Nobody may claim it in another address's name.
  const Descriptor liar(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
  const auto name = io::to_kernel(at(kPlain, true, 0));
  ASSERT_EQ(::bind(liar.get(), name->get(), name->size), 0);
  for (const int last : {kFirst, kPlain}) {
    nd_neighbor_advert advert{};
    advert.nd_na_type = ND_NEIGHBOR_ADVERT;
    std::memcpy(&advert.nd_na_target, at(last, true).ip_bytes().data(), 16);
    EXPECT_EQ(send_to(liar, {reinterpret_cast<const char*>(&advert), sizeof advert},
                      at(kClient, true, 0)),
              last == kPlain);
  }
  EXPECT_THAT(announced(Kind::kNeighbor), testing::ElementsAre(kPlain));
  // Twice, since the kernel begins with the plain one in IPv4; in IPv6 it ends with it.
  for (const char* const hardware : {"02:00:00:00:00:07", "02:00:00:00:00:08"}) {
    EXPECT_EQ(output_of(std::string("ip link set h0 address ") + hardware), "");
    EXPECT_THAT(announced(Kind::kArp), testing::ElementsAre(kPlain));
    EXPECT_THAT(announced(Kind::kNeighbor), testing::ElementsAre(kPlain));
  }
  ASSERT_TRUE(guard.open_until(0, now() + 1h).has_value());
  EXPECT_EQ(output_of("ip link set h0 address 02:00:00:00:00:09"), "");
  EXPECT_THAT(announced(Kind::kNeighbor), testing::ElementsAre(kFirst, kPlain));
}

TEST_P(EitherGuard, OpeningEndsWhileItsProcessIsStopped) {
  Child child;
  start(child, [&](const Report& report) { open_for_a_second(report); });
  ASSERT_EQ(::kill(child.id, SIGSTOP), 0);
  serve();
  expect_end_at(child.end);
}

TEST_P(EitherGuard, OpeningEndsWhenItsProcessWasKilledAndTheNextFindsItShut) {
  Child child;
  start(child, [&](const Report& report) { open_for_a_second(report); });
  ASSERT_EQ(::kill(child.id, SIGKILL), 0);
  serve();
  expect_end_at(child.end);
  Guard next = make_guard();
  expect_answers(false, kFirst);
  ASSERT_TRUE(next.install(two_leases(now() + 1h)).has_value());
  expect_answers(true, kFirst);
}

// Each of the two ends by itself, where the other would let the packet through for an hour.
TEST_F(ElementsGuard, ElementsEndWhenTheWallClockWasSetBack) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  serve();
  const WallTime far{wall_now().nanoseconds_since_epoch + 3'600'000'000'000LL};
  for (const Duration left : {60ms, 100ms, 150ms, 300ms}) {
    Instant taken{};
    commit([&](NftBatch& batch) {
      write_opening(batch, OpeningTables::kBoth, 0, {.ipv4 = true, .ipv6 = true},
                    Opening{left, far});
    });
    taken = now();
    bool before = false;
    Instant last = taken;
    // The kernel's ticks may stand still for five of 10 ms, and 4 ms is how exact they are here.
    while (now() < taken + left + 100ms) {
      const Instant asked = now();
      if (!answers(Kind::kIcmp)) continue;
      before = true;
      last = asked;
    }
    EXPECT_TRUE(before);
    std::printf("%lld ms: last answered when asked after %.1f ms\n",
                static_cast<long long>(milliseconds_of(left)),
                std::chrono::duration<double, std::milli>(last - taken).count());
    EXPECT_LE(last - taken, left + 50ms);
    EXPECT_FALSE(answers(Kind::kUdp6));
    EXPECT_FALSE(answers(Kind::kArp));
  }
}

TEST_F(ElementsGuard, WallClocksEndIsTheLeases) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  serve();
  const Instant end = now() + 700ms;
  ASSERT_TRUE(guard.open_until(0, end).has_value());
  for (const std::string set :
       {"inet nines open_0 { ipv4", "inet nines open_0 { ipv6", "arp nines open_0 { 3"}) {
    EXPECT_EQ(output_of("nft 'delete element " + set + " }; add element " + set + " timeout 1h }'"),
              "");
  }
  expect_end_at(end);
}

TEST_F(ElementsGuard, TransactionThatCameLateOpensNothing) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  serve();
  const WallTime past{wall_now().nanoseconds_since_epoch - 1};
  commit([&](NftBatch& batch) {
    write_opening(batch, OpeningTables::kBoth, 0, {.ipv4 = true, .ipv6 = true}, Opening{1h, past});
  });
  expect_answers(false, kFirst);
}

TEST_P(EitherGuard, LeaseThatHasAllButEndedIsShutAndSaidSo) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases(now() + 1h)).has_value());
  serve();
  expect_answers(true, kFirst);
  for (const Duration left : {Duration(-1s), Duration(0), Duration(kOpeningMin) - 1ns}) {
    const auto opened = guard.open_until(0, now() + left);
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code(), ErrorCode::kTimeout);
    EXPECT_FALSE(answers(Kind::kUdp));
    ASSERT_TRUE(guard.open_until(0, now() + 1h).has_value());
    EXPECT_TRUE(answers(Kind::kUdp));
  }
  EXPECT_TRUE(guard.open_until(0, Instant::max()).has_value());
}

// The kernel swaps rules under packets on their way; a gap of a microsecond would show here.
TEST_P(EitherGuard, RenewalsAndReinstallationsLoseNoPacket) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases(now() + 1h)).has_value());
  serve();
  Child child;
  start(child, [&](const Report& report) {
    ::sched_setaffinity(0, sizeof processors_, &processors_);
    report(now());
    while (true) {
      for (int i = 0; i < 50; ++i) {
        if (!guard.open_until(0, now() + 10s).has_value()) return;
      }
      if (!guard.install(two_leases(now() + 10s)).has_value()) return;
    }
  });
  const Instant begun = now();
  int asked = 0;
  while (now() < begun + 5s) {
    ASSERT_TRUE(answers(Kind::kUdp)) << "after " << asked;
    ASSERT_TRUE(answers(Kind::kIcmp6)) << "after " << asked;
    ASSERT_TRUE(answers(Kind::kArp)) << "after " << asked;
    ++asked;
  }
  std::printf("%d questions of each of three kinds\n", asked);
  EXPECT_GT(asked, 100);
  EXPECT_EQ(::waitpid(child.id, nullptr, WNOHANG), 0) << "a renewal failed";
}

TEST_P(EitherGuard, LocalClientsAreGuardedToo) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  serve();
  const auto reaches = [&](bool ipv6) {
    const Descriptor client(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const std::string mark = std::to_string(++mark_);
    send_to(client, mark, at(kFirst, ipv6));
    EXPECT_TRUE(send_to(client, mark, at(kPlain, ipv6)));
    EXPECT_EQ(receive(udp_[{kPlain, ipv6}], mark, kPatience), mark);
    return receive(udp_[{kFirst, ipv6}], mark, 0) == mark;
  };
  EXPECT_FALSE(reaches(false));
  EXPECT_FALSE(reaches(true));
  ASSERT_TRUE(guard.open_until(0, now() + 1h).has_value());
  EXPECT_TRUE(reaches(false));
  EXPECT_TRUE(reaches(true));
}

// The guard of a host that does not own the address must not keep it from the one that does.
TEST_P(EitherGuard, BackupReachesTheOwnerAndHearsItsAnnouncements) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  connect_hosts();
  enter(client_);
  add_address(client_link_, kFirst);
  std::map<bool, Descriptor> owners;
  for (const bool ipv6 : {false, true}) owners[ipv6] = bound(SOCK_DGRAM, at(kFirst, ipv6));
  const Descriptor arp(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ARP)));
  enter(host_);
  for (const bool ipv6 : {false, true}) {
    const Descriptor own = bound(SOCK_DGRAM, at(kPlain, ipv6));
    ASSERT_TRUE(send_to(own, "question", at(kFirst, ipv6)));
    EXPECT_EQ(receive(owners[ipv6], "question", kPatience), "question");
    ASSERT_TRUE(send_to(owners[ipv6], "answer", at(kPlain, ipv6)));
    EXPECT_EQ(receive(own, "answer", kPatience), "answer");
  }
  // A gratuitous ARP with another hardware address: the next owner's.
  const std::string next("\x02\x00\x00\x00\x00\x07", 6);
  const std::string ip(at(kFirst, false).ip_bytes());
  const std::string frame = std::string(6, '\xff') + next +
                            std::string("\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10) + next +
                            ip + std::string(6, '\xff') + ip;
  sockaddr_ll link{};
  link.sll_family = AF_PACKET;
  link.sll_ifindex = client_link_;
  link.sll_halen = 6;
  ASSERT_EQ(::sendto(arp.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&link),
                     sizeof link),
            static_cast<ssize_t>(frame.size()));
  const Instant begun = now();
  std::string learnt;
  do {
    learnt = output_of("ip neigh show 10.9.0.100");
  } while (learnt.find("02:00:00:00:00:07") == std::string::npos && now() < begun + 5s);
  EXPECT_THAT(learnt, HasSubstr("02:00:00:00:00:07"));
}

TEST_P(EitherGuard, FlushByHandIsHeardAndMended) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  serve();
  for (const char* const command :
       {"nft flush ruleset", "nft delete table inet nines", "nft delete table arp nines",
        "nft flush chain inet nines input", "nft insert rule inet nines output accept",
        "nft add element arp nines open_0 { 3 }", "nft add table inet nines '{ flags dormant; }'",
        "nft 'add table ip a; add set ip a b { type mark; }; delete table inet nines'"}) {
    EXPECT_EQ(output_of(command), "");
    ASSERT_TRUE(is_readable(guard.monitor(), kPatience)) << command;
    const Instant heard = now();
    const auto disturbed = guard.disturbed();
    ASSERT_TRUE(disturbed.has_value());
    EXPECT_TRUE(*disturbed) << command;
    ASSERT_TRUE(guard.install(two_leases()).has_value()) << command;
    std::printf("mended after %.2f ms: %s\n",
                std::chrono::duration<double, std::milli>(now() - heard).count(), command);
    expect_answers(false, kFirst);
    // What it did itself is no news, or it would go on for ever.
    EXPECT_FALSE(is_readable(guard.monitor(), 0)) << command;
  }
  EXPECT_EQ(output_of("nft flush ruleset"), "");
  auto opened = guard.open_until(0, now() + 1h);
  const bool by_program = means() == GuardMeans::kProgram;
  // By a program it was a renewal, and one after it says what became of it.
  for (const Instant begun = now(); by_program && opened.has_value();) {
    ASSERT_LT(now(), begun + std::chrono::milliseconds(kPatience));
    opened = guard.open_until(0, now() + 3h);
  }
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kNotFound) << opened.error().message();
  EXPECT_THAT(opened.error().message(), HasSubstr("open_0 in table "));
}

TEST_P(EitherGuard, NewsThatWasLostCountsAsTouched) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  // More than the monitor's buffer holds, and none of it about us.
  std::string script = "table ip other {\n";
  for (int i = 0; i < 400; ++i) script += "chain c" + std::to_string(i) + " { counter; }\n";
  script += "}\n";
  const std::string command = "echo '" + script + "' | nft -f -";
  bool lost = false;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(output_of(command), "");
  for (int i = 0; i < 20 && !lost; ++i) lost = guard.disturbed().value();
  EXPECT_TRUE(lost);
}

TEST_P(EitherGuard, OtherTablesAreNeitherTouchedNorNoticed) {
  const std::string other =
      "table inet filter { set s { type ipv4_addr; flags timeout; elements = { 10.9.0.100 } }; "
      "chain input { type filter hook input priority 0; policy accept; "
      "ip saddr @s counter drop; }; }; table ip nines { chain c { accept; }; }";
  EXPECT_EQ(output_of("echo '" + other + "' | nft -f -"), "");
  const std::string before = output_of("nft list ruleset");
  {
    Guard guard = make_guard();
    EXPECT_EQ(output_of("nft list ruleset"), before) << "the rehearsal left something";
    ASSERT_TRUE(guard.install(two_leases()).has_value());
    ASSERT_TRUE(guard.install(two_leases(now() + 1h)).has_value());
    ASSERT_TRUE(guard.open_until(1, now() + 1h).has_value());
    ASSERT_TRUE(guard.close(0).has_value());
    EXPECT_EQ(output_of("nft add table ip another; nft delete table ip nines"), "");
    ASSERT_TRUE(is_readable(guard.monitor(), kPatience));
    const auto disturbed = guard.disturbed();
    ASSERT_TRUE(disturbed.has_value());
    EXPECT_FALSE(*disturbed);
    EXPECT_EQ(output_of("nft delete table ip another; nft add table ip nines;"
                        "nft add chain ip nines c; nft add rule ip nines c accept"),
              "");
    ASSERT_TRUE(guard.remove().has_value());
    ASSERT_TRUE(guard.remove().has_value()) << "nothing to remove is no error";
  }
  EXPECT_EQ(output_of("nft list ruleset"), before);
}

TEST_F(ElementsGuard, TablesReadAsTheDocumentSays) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  EXPECT_EQ(output_of("nft list chain inet nines term_0"),
            "table inet nines {\n\tchain term_0 {\n\t\tdrop\n\t}\n}\n");
  ASSERT_TRUE(guard.open_until(0, now() + 1h).has_value());
  const std::string inet = output_of("nft list table inet nines");
  EXPECT_THAT(inet, HasSubstr("10.9.0.100 : jump lease_0, 10.9.0.101 : jump lease_1"));
  EXPECT_THAT(inet, HasSubstr("2001:db8::100 : jump lease_0"));
  EXPECT_THAT(inet, HasSubstr("\tchain term_0 {\n\t\tmeta time >= \"20"));
  EXPECT_THAT(inet, HasSubstr("\tchain lease_0 {\n\t\tmeta nfproto != @open_0 drop\n"
                              "\t\tgoto term_0\n\t}\n"));
  EXPECT_THAT(inet, HasSubstr("elements = { ipv4 timeout 59m59s"));
  EXPECT_THAT(inet, HasSubstr("\tchain term_1 {\n\t\tdrop\n\t}\n"));
  EXPECT_THAT(inet, HasSubstr("\tchain input {\n"
                              "\t\ttype filter hook input priority raw; policy accept;\n"
                              "\t\tip daddr vmap @owned4\n"
                              "\t\tip6 daddr vmap @owned6\n"
                              "\t\ticmpv6 type nd-neighbor-solicit @th,64,128 vmap @owned6\n"));
  EXPECT_THAT(inet, HasSubstr("\tchain output {\n"
                              "\t\ttype filter hook output priority raw; policy accept;\n"
                              "\t\tip saddr vmap @owned4\n"
                              "\t\tip6 saddr vmap @owned6\n"
                              "\t\ticmpv6 type nd-neighbor-advert @th,64,128 vmap @owned6\n"));
  const std::string arp = output_of("nft list table arp nines");
  EXPECT_THAT(arp, HasSubstr("hook input priority -300; policy accept;\n"
                             "\t\tarp hlen 6 arp operation request arp saddr ip != @ours "
                             "arp daddr ip vmap @owned4\n"));
  EXPECT_THAT(arp, HasSubstr("hook output priority -300; policy accept;\n"
                             "\t\tarp hlen 6 arp saddr ip vmap @owned4\n"));
  EXPECT_THAT(arp, Not(HasSubstr("2001:db8")));
  // Without IPv4 there is nothing to say about ARP.
  ASSERT_TRUE(guard.install({{.addresses = {at(kFirst, true)}}}).has_value());
  EXPECT_THAT(output_of("nft list table arp nines"), HasSubstr("No such file or directory"));
  ASSERT_TRUE(guard.open_until(0, now() + 1h).has_value());
}

TEST_F(ElementsGuard, ThousandsOfRenewalsLeaveOneOpening) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  constexpr int kRenewals = 5000;
  const Instant begun = now();
  for (int i = 0; i < kRenewals; ++i) {
    // Some expire before they are renewed, and some twenty lie dead in the set.
    const Duration left = i % 100 == 0 ? Duration(kOpeningMin) + 1ms : Duration(1h);
    const auto opened = guard.open_until(0, now() + left);
    ASSERT_TRUE(opened.has_value()) << i << ": " << opened.error().message();
  }
  std::printf("a renewal: %.1f us\n",
              std::chrono::duration<double, std::micro>(now() - begun).count() / kRenewals);
  for (const char* const table : {"inet", "arp"}) {
    const std::string text = output_of(std::string("nft list table ") + table + " nines");
    const auto count = [&](std::string_view what) {
      int found = 0;
      for (std::size_t i = text.find(what); i != std::string::npos; i = text.find(what, i + 1)) {
        ++found;
      }
      return found;
    };
    EXPECT_EQ(count("expires"), table[0] == 'i' ? 2 : 1) << text;
    EXPECT_EQ(count("meta time"), 1) << text;
    EXPECT_EQ(count("goto term_0"), 1) << text;
  }
  EXPECT_FALSE(is_readable(guard.monitor(), 0));
}

TEST_F(ProgramGuard, TablesReadAsTheDocumentSays) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  const std::string inet = output_of("nft list table inet nines");
  EXPECT_THAT(inet, HasSubstr("10.9.0.100 : jump lease_0, 10.9.0.101 : jump lease_1"));
  // Before the drop, nft says what it knows of the match, which differs by how it was built.
  for (const std::string lease : {"lease_0", "lease_1"}) {
    const std::size_t chain = inet.find("\tchain " + lease + " {\n");
    ASSERT_NE(chain, std::string::npos) << inet;
    EXPECT_THAT(inet.substr(chain, inet.find('}', chain) - chain),
                HasSubstr(" drop comment \"when the lease has ended\"\n"));
  }
  EXPECT_THAT(inet, Not(HasSubstr("open_0")));
  EXPECT_THAT(output_of("nft list table arp nines"),
              HasSubstr("\tchain lease_0 {\n\t\tmeta nfproto != @open_0 drop\n"));
}

// What all of a socket's events are about: each family, as often as a transaction touched it.
class ProgramGuardsEvents : public ProgramGuard {
 protected:
  void listen_to_all() {
    monitor_ = *open_netfilter(0);
    const int group = NFNLGRP_NFTABLES;
    ASSERT_EQ(
        ::setsockopt(monitor_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group), 0);
  }

  // Until nothing comes for `patience` milliseconds.
  void read_events(int patience) {
    std::array<char, 64 << 10> datagram;
    while (is_readable(monitor_.get(), patience)) {
      const ssize_t size = ::recv(monitor_.get(), datagram.data(), datagram.size(), 0);
      ASSERT_GT(size, 0);
      int left = static_cast<int>(size);
      const auto* header = reinterpret_cast<const nlmsghdr*>(datagram.data());
      for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
        if ((header->nlmsg_type & 0xff) == NFT_MSG_NEWGEN) {
          ++transactions_;
        } else {
          families_.insert(
              static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(header))->nfgen_family);
        }
      }
      if (transactions_ > 0 && patience > 0) return;
    }
  }

  Descriptor monitor_;
  int transactions_ = 0;
  std::set<std::uint8_t> families_;
};

// Of IP nothing is touched, so nothing is waited for; of ARP what is past its half.
TEST_F(ProgramGuardsEvents, RenewalsChangeNoRuleOfIp) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  const std::string before = output_of("nft list table inet nines");
  EXPECT_THAT(before, HasSubstr("lease_0"));
  listen_to_all();
  constexpr int kRenewals = 5000;
  const Instant begun = now();
  for (int i = 0; i < kRenewals; ++i) {
    ASSERT_TRUE(guard.open_until(0, now() + 1h).has_value());
  }
  std::printf("a renewal: %.2f us\n",
              std::chrono::duration<double, std::micro>(now() - begun).count() / kRenewals);
  read_events(0);
  EXPECT_EQ(transactions_, 1) << "that opened it";
  ASSERT_TRUE(guard.open_until(0, now() + 3h).has_value());
  transactions_ = 0;
  read_events(kPatience);
  EXPECT_EQ(transactions_, 1);
  ASSERT_TRUE(guard.close(0).has_value());
  EXPECT_THAT(families_, testing::ElementsAre(kNfprotoArp));
  EXPECT_EQ(output_of("nft list table inet nines"), before);
  EXPECT_FALSE(is_readable(guard.monitor(), 0)) << "it hears of itself";
}

// A shorter end than the one before it holds for ARP as well, at once or soon.
TEST_F(ProgramGuard, AnEarlierEndHoldsForArpToo) {
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  serve();
  ASSERT_TRUE(guard.open_until(0, now() + 1h).has_value());
  const Instant end = now() + 1s;
  ASSERT_TRUE(guard.open_until(0, end).has_value());
  expect_end_at(end);
}

// Somebody loads a firewall on another processor, which holds nftables' lock. Whether this one was
// there meanwhile is not the guard's matter, so it has three attempts.
TEST_F(ProgramGuard, RenewalsDoNotWaitForAFirewallToBeLoaded) {
  constexpr int kRules = 60'000, kAttempts = 3;
  constexpr Duration kTold = 40ms;
  cpu_set_t others = processors_;
  CPU_CLR(::sched_getcpu(), &others);
  if (CPU_COUNT(&others) == 0) GTEST_SKIP() << "one processor";
  Guard guard = make_guard();
  ASSERT_TRUE(guard.install(two_leases()).has_value());
  std::string rules = "table inet load { chain c {\n";
  for (int i = 0; i < kRules; ++i) {
    rules += "tcp dport " + std::to_string(i + 1) + " accept\n";
  }
  rules += "}\n}\n";
  const auto worst_until = [](const std::atomic<bool>& done, auto&& call) {
    Duration worst{};
    while (!done) {
      const Instant begun = now();
      call();
      worst = std::max<Duration>(worst, now() - begun);
    }
    return worst;
  };
  Duration renewal{}, transaction{};
  for (int i = 0; i < kAttempts; ++i) {
    std::atomic<bool> done = false;
    int loaded = -1;
    std::thread loader([&] {
      ::sched_setaffinity(0, sizeof others, &others);
      FILE* const nft = ::popen("nft -f -", "w");
      std::fwrite(rules.data(), 1, rules.size(), nft);
      loaded = ::pclose(nft);
      done = true;
    });
    std::thread waiter([&] {
      ::sched_setaffinity(0, sizeof others, &others);
      auto netlink = NftSocket::open();
      transaction = worst_until(done, [&] {
        NftBatch batch = netlink->begin();
        NftTable(batch, kNfprotoInet, "tried").create();
        EXPECT_TRUE(netlink->send(batch, NftBatch::Ending::kDryRun).has_value());
      });
    });
    bool all_opened = true;
    Instant end = now() + 1h;
    renewal = worst_until(done, [&] {
      // Each earlier than the last, so that each is one of ARP as well.
      end = end - 1us;
      all_opened &= guard.open_until(0, end).has_value();
    });
    loader.join();
    waiter.join();
    ASSERT_EQ(loaded, 0);
    EXPECT_TRUE(all_opened);
    std::printf("a transaction waited for %.1f ms, a renewal for %.3f ms\n",
                std::chrono::duration<double, std::milli>(transaction).count(),
                std::chrono::duration<double, std::milli>(renewal).count());
    if (transaction < kTold) GTEST_SKIP() << "loaded too quickly to tell";
    if (renewal < transaction / 4) return;
  }
  FAIL() << "renewals waited";
}

TEST_F(ProgramGuard, IsTheOneThatIsTakenWhereItCanBe) {
  auto guard = Guard::create();
  ASSERT_TRUE(guard.has_value()) << guard.error().message();
  ASSERT_TRUE(guard->install(two_leases()).has_value());
  EXPECT_EQ(guard->means(), GuardMeans::kProgram);
  EXPECT_FALSE(guard->no_program().has_value());
}

// A host that may not load programs guards as well.
TEST_F(ProgramGuard, WithoutTheRightToProgramsItsElementsGuard) {
  Child child;
  start(child, [&](const Report& report) {
    // CAP_NET_ADMIN alone, as that user.
    if (::prctl(PR_SET_KEEPCAPS, 1) != 0 || ::setuid(65534) != 0) return;
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, 2> rights{};
    rights[0].effective = rights[0].permitted = 1u << CAP_NET_ADMIN;
    if (::syscall(SYS_capset, &header, rights.data()) != 0) return;
    auto guard = Guard::create();
    if (!guard.has_value() || !guard->install(two_leases()).has_value()) return;
    if (guard->means() != GuardMeans::kElements) return;
    if (guard->no_program()->code() != ErrorCode::kRefused) return;
    if (!guard->open_until(0, now() + 1h).has_value()) return;
    report(now());
    while (true) ::pause();
  });
  serve();
  expect_answers(true, kFirst);
  expect_answers(false, kSecond);
}

TEST_P(EitherGuard, AsManyAddressesAndLeasesAsAreAllowed) {
  Guard guard = make_guard();
  std::vector<GuardedLease> leases(kGuardedLeasesMax);
  for (std::size_t i = 0; i < kGuardedAddressesMax; ++i) {
    const auto high = static_cast<std::uint8_t>(i >> 8), low = static_cast<std::uint8_t>(i);
    const SocketAddress address =
        i % 2 == 0
            ? SocketAddress::ipv4({10, 200, high, low}, 0)
            : SocketAddress::ipv6({0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low}, 0);
    leases[i % 3 == 0 ? kGuardedLeasesMax - 1 : i % kGuardedLeasesMax].addresses.push_back(address);
  }
  const Instant begun = now();
  const auto installed = guard.install(leases);
  ASSERT_TRUE(installed.has_value()) << installed.error().message();
  const Instant done = now();
  ASSERT_TRUE(guard.open_until(kGuardedLeasesMax - 1, now() + 1h).has_value());
  std::printf("%zu addresses: %.2f ms to install, %.3f ms to open a third of them\n",
              kGuardedAddressesMax, std::chrono::duration<double, std::milli>(done - begun).count(),
              std::chrono::duration<double, std::milli>(now() - done).count());
  // All of one family and one lease: the longest attribute there is.
  std::vector<GuardedLease> one(1);
  for (std::size_t i = 0; i < kGuardedAddressesMax; ++i) {
    one[0].addresses.push_back(
        SocketAddress::ipv6({0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                             static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)},
                            0));
  }
  const auto second = guard.install(one);
  ASSERT_TRUE(second.has_value()) << second.error().message();
  // A refused list leaves what was.
  one[0].addresses.push_back(*SocketAddress::parse_ip("127.0.0.1", 0));
  EXPECT_EQ(guard.install(one).error().code(), ErrorCode::kInvalid);
  EXPECT_TRUE(guard.open_until(0, now() + 1h).has_value());
}

TEST_P(EitherGuard, OnlyOneProcessGuardsANamespace) {
  std::optional<Guard> guard = make_guard();
  const auto second = Guard::create();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kExists);
  enter(client_);
  EXPECT_TRUE(Guard::create().has_value()) << "another namespace is another host";
  enter(host_);
  guard.reset();
  EXPECT_TRUE(Guard::create().has_value());
}

TEST_P(EitherGuard, WaitsForOneThatIsOnItsWayOut) {
  std::optional<Guard> guard = make_guard();
  const Instant begun = now();
  std::thread leaving([&] {
    // Whether this comes before or after the other's first look, that one succeeds.
    guard.reset();
  });
  EXPECT_TRUE(Guard::create(means(), 10s).has_value());
  leaving.join();
  EXPECT_LT(now() - begun, 10s);
}

TEST_P(EitherGuard, WithoutTheCapabilityItIsRefused) {
  Child child;
  start(child, [&](const Report& report) {
    if (::setuid(65534) != 0) return;
    auto guard = Guard::create();
    const auto installed = guard.has_value() ? guard->install(two_leases()) : guard.error();
    const bool right = !installed.has_value() && installed.error().code() == ErrorCode::kRefused &&
                       installed.error().message().find("CAP_NET_ADMIN") != std::string::npos;
    if (!right) return;
    report(now());
    while (true) ::pause();
  });
}

}  // namespace
}  // namespace nines::address
