// Whatever wakes the recorder, everything is read until there is nothing left, and then gets one
// instant: a release on one host and the taking on the next are never told in the wrong order,
// however late this process is run, and nothing is told to be earlier than it was. What is gained
// in truth is lost in resolution, by as much as that.
#include "lab/ownership_recorder.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <set>
#include <span>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/linux/epoll_loop.h"
#include "lab/log_sink.h"

namespace nines::lab {
namespace {

using Kind = OwnershipEvent::Kind;

constexpr std::string_view kSwitch = "switch";  // where changes are lost that no one host's are
constexpr int kSweepsMax = 64;         // readings of everything in one pass; then the next pass
constexpr int kFrameBuffer = 1 << 20;  // bytes in the kernel
constexpr int kFramesPerSweep = 256;   // ARP frames
constexpr int kDumpsMax = 8;           // at once, when addresses change meanwhile
constexpr Duration kDumpAgain = 100ms;
constexpr int kClaimsPerSecondMax = 1000;  // lines about frames; more are said to be lost, once
// The instants are as good as the recorder is prompt, beside a load that takes all the processors.
constexpr int kNiceness = -10;

struct KindName {
  Kind kind;
  std::string_view name;
  int words;  // that follow: host, address, hardware
};
constexpr std::array<KindName, 10> kKindNames{{
    {Kind::kBegan, "began", 0},
    {Kind::kLost, "lost", 1},
    {Kind::kHeld, "held", 2},
    {Kind::kReleased, "released", 2},
    {Kind::kAnnounced, "announced", 3},
    {Kind::kAnswered, "answered", 3},
    {Kind::kDied, "died", 1},
    {Kind::kReturned, "returned", 1},
    {Kind::kCut, "cut", 1},
    {Kind::kHealed, "healed", 1},
}};

// An ARP packet for Ethernet and IPv4 in an Ethernet frame (RFC 826): offsets and sizes in bytes.
constexpr std::size_t kOperationAt = 20;
constexpr std::size_t kSenderHardwareAt = 22;
constexpr std::size_t kSenderAddressAt = 28;
constexpr std::size_t kTargetAddressAt = 38;
constexpr std::size_t kArpFrameSize = 42;
constexpr std::string_view kArpHead("\x08\x06\x00\x01\x08\x00\x06\x04", 8);
constexpr std::size_t kArpHeadAt = 12;
constexpr int kReply = 2;

std::string hardware_text(std::string_view bytes) {
  std::array<char, 18> text;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", at(0), at(1), at(2),
                at(3), at(4), at(5));
  return text.data();
}

SocketAddress ipv4_at(std::string_view frame, std::size_t offset) {
  std::array<std::uint8_t, 4> bytes;
  std::memcpy(bytes.data(), frame.data() + offset, bytes.size());
  return SocketAddress::ipv4(bytes, 0);
}

Result<void> enter_network(int descriptor) {
  if (::setns(descriptor, CLONE_NEWNET) != 0) return Error::from_errno(errno, "setns network");
  return {};
}

// Gratuitous ARP and ARP replies that come in on any link of the namespace. What is let through is
// decided in the kernel: this is run for each frame of the lab's load.
Result<io::Descriptor> open_arp_socket() {
  // Of no protocol until the filter is there, so that nothing is heard without it.
  io::Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error::from_errno(errno, "packet socket");
  constexpr std::uint32_t kAccept = kArpFrameSize;
  std::array<sock_filter, 12> code{{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kArpHeadAt),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_ARP, 0, 9),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kArpHeadAt + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 0, 7),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kOperationAt),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kReply, 4, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kSenderAddressAt),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kTargetAddressAt),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, kAccept),
      BPF_STMT(BPF_RET | BPF_K, 0),
  }};
  const sock_fprog program{.len = code.size(), .filter = code.data()};
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0 ||
      // A frame that the bridge passes on is seen at its entry alone.
      ::setsockopt(socket.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0) {
    return Error::from_errno(errno, "packet socket's options");
  }
  // A refusal leaves the usual size, and what does not fit is counted.
  static_cast<void>(
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kFrameBuffer, sizeof kFrameBuffer));
  sockaddr_ll every{};
  every.sll_family = AF_PACKET;
  every.sll_protocol = htons(ETH_P_ALL);  // a port's frames are seen in no other way
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&every), sizeof every) != 0) {
    return Error::from_errno(errno, "packet socket's bind");
  }
  return socket;
}

Instant fresh_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
}

// One host's kernel as far as it is known. An address is held while any link has it.
struct Watched {
  std::string name;
  int switch_port = 0;
  io::NetworkMonitor monitor;
  io::Netlink netlink;
  using Places = std::set<std::pair<int, std::uint8_t>>;  // link and prefix length
  std::map<SocketAddress, Places> addresses = {};
  bool cut = false;
  bool stale = false;  // events were lost, and the kernel has not been asked anew
};

class Recorder final : private Timer {
 public:
  Recorder(io::EpollLoop& loop, io::Descriptor file, io::NetworkMonitor switch_monitor,
           io::Netlink switch_netlink, io::Descriptor arp)
      : loop_(loop),
        file_(std::move(file)),
        switch_monitor_(std::move(switch_monitor)),
        switch_netlink_(std::move(switch_netlink)),
        arp_(std::move(arp)) {}

  void add(Watched host) { hosts_.push_back(std::move(host)); }
  Result<void> begin();

 private:
  void on_timer(Instant) override { on_wake(); }
  void on_wake();
  Result<bool> read_host(Watched& host);
  Result<bool> read_switch();
  bool read_frames();
  void note_lost_frames();
  // Asks the kernel for what it has; false: not to be had at the moment.
  bool dump(Watched& host);
  bool dump_ports();
  void change(Watched& host, const io::NetworkEvent& event);
  void set_cut(Watched& host, bool cut);
  Watched* find_port(int index);

  void write(Kind kind, std::string_view host = {}, const SocketAddress& address = {}) {
    write({.kind = kind, .at = {}, .host = std::string(host), .address = address});
  }
  void write(OwnershipEvent event) { pending_.push_back(std::move(event)); }
  void flush();

  io::EpollLoop& loop_;
  io::Descriptor file_;
  std::vector<Watched> hosts_;
  io::NetworkMonitor switch_monitor_;
  io::Netlink switch_netlink_;
  bool switch_stale_ = false;
  io::Descriptor arp_;
  Instant second_begun_;
  int claims_ = 0;                       // in the second that began there
  std::vector<OwnershipEvent> pending_;  // of this pass
  std::vector<io::NetworkEvent> events_;
};

Result<void> Recorder::begin() {
  write(Kind::kBegan);
  for (auto& host : hosts_) {
    if (!dump(host)) return Error(ErrorCode::kUnavailable, host.name + ": no list of addresses");
  }
  if (!dump_ports()) return Error(ErrorCode::kUnavailable, "no list of the switch's ports");
  flush();
  const auto watch = [this](int descriptor) {
    loop_.watch_descriptor(descriptor, EPOLLIN, [this](std::uint32_t) { on_wake(); });
  };
  for (auto& host : hosts_) watch(host.monitor.descriptor());
  watch(switch_monitor_.descriptor());
  watch(arp_.get());
  return {};
}

void Recorder::on_wake() {
  const auto sweep = [this]() -> Result<bool> {
    bool any = TRY(read_switch());
    for (auto& host : hosts_) any = TRY(read_host(host)) || any;
    return read_frames() || any;
  };
  for (int i = 0; i < kSweepsMax; ++i) {
    auto any = sweep();
    if (!any.has_value()) {
      // Nothing that a lab does to its hosts breaks these sockets.
      std::fprintf(stderr, "ownership recorder: %s\n", any.error().message().c_str());
      loop_.stop();
      break;
    }
    if (!*any) break;
  }
  flush();
  for (const auto& host : hosts_) {
    if (host.stale) loop_.arm(*this, kDumpAgain);
  }
  if (switch_stale_) loop_.arm(*this, kDumpAgain);
}

Result<bool> Recorder::read_host(Watched& host) {
  events_.clear();
  TRY(host.monitor.read(events_));
  for (const auto& event : events_) {
    if (event.kind == io::NetworkEvent::Kind::kLost) host.stale = true;
  }
  // After a loss the rest of them only lead to what the kernel says now.
  if (host.stale) {
    if (!dump(host)) return false;
    host.stale = false;
    return true;
  }
  for (const auto& event : events_) change(host, event);
  return !events_.empty();
}

bool Recorder::dump(Watched& host) {
  for (int i = 0; i < kDumpsMax; ++i) {
    auto found = host.netlink.addresses();
    if (!found.has_value()) continue;
    std::map<SocketAddress, Watched::Places> addresses;
    for (const auto& each : *found) {
      addresses[each.address].emplace(each.link, each.prefix_length);
    }
    if (host.stale) write(Kind::kLost, host.name);
    for (const auto& [address, places] : host.addresses) {
      if (!addresses.contains(address)) write(Kind::kReleased, host.name, address);
    }
    for (const auto& [address, places] : addresses) {
      if (!host.addresses.contains(address)) write(Kind::kHeld, host.name, address);
    }
    host.addresses = std::move(addresses);
    return true;
  }
  return false;
}

void Recorder::change(Watched& host, const io::NetworkEvent& event) {
  const auto& address = event.address;
  const std::pair place(address.link, address.prefix_length);
  if (event.kind == io::NetworkEvent::Kind::kAddressAdded) {
    // Said again at each renewal of its lifetime.
    const auto [entry, is_new] = host.addresses.try_emplace(address.address);
    entry->second.insert(place);
    if (is_new) write(Kind::kHeld, host.name, address.address);
  } else if (event.kind == io::NetworkEvent::Kind::kAddressRemoved) {
    const auto entry = host.addresses.find(address.address);
    if (entry == host.addresses.end() || entry->second.erase(place) == 0) return;
    if (!entry->second.empty()) return;
    host.addresses.erase(entry);
    write(Kind::kReleased, host.name, address.address);
  }
}

Result<bool> Recorder::read_switch() {
  events_.clear();
  TRY(switch_monitor_.read(events_));
  for (const auto& event : events_) {
    if (event.kind == io::NetworkEvent::Kind::kLost) switch_stale_ = true;
  }
  if (switch_stale_) {
    if (!dump_ports()) return false;
    switch_stale_ = false;
    return true;
  }
  for (const auto& event : events_) {
    const bool removed = event.kind == io::NetworkEvent::Kind::kLinkRemoved;
    if (!removed && event.kind != io::NetworkEvent::Kind::kLinkChanged) continue;
    if (Watched* host = find_port(event.link.index)) set_cut(*host, removed || !event.link.up);
  }
  return !events_.empty();
}

bool Recorder::dump_ports() {
  for (int i = 0; i < kDumpsMax; ++i) {
    auto links = switch_netlink_.links();
    if (!links.has_value()) continue;
    if (switch_stale_) write(Kind::kLost, kSwitch);
    std::set<int> up;
    for (const auto& link : *links) {
      if (link.up) up.insert(link.index);
    }
    for (auto& host : hosts_) set_cut(host, !up.contains(host.switch_port));
    return true;
  }
  return false;
}

void Recorder::set_cut(Watched& host, bool cut) {
  if (host.cut == cut) return;
  host.cut = cut;
  write(cut ? Kind::kCut : Kind::kHealed, host.name);
}

Watched* Recorder::find_port(int index) {
  for (auto& host : hosts_) {
    if (host.switch_port == index) return &host;
  }
  return nullptr;
}

bool Recorder::read_frames() {
  int count = 0;
  for (; count < kFramesPerSweep; ++count) {
    std::array<char, kArpFrameSize> frame;
    sockaddr_ll from{};
    socklen_t from_size = sizeof from;
    ssize_t size = 0;
    do {
      size = ::recvfrom(arp_.get(), frame.data(), frame.size(), 0,
                        reinterpret_cast<sockaddr*>(&from), &from_size);
    } while (size < 0 && errno == EINTR);
    if (size < 0) break;  // EAGAIN; a socket bound to no link has no other troubles
    const Watched* host = find_port(from.sll_ifindex);
    auto claim = parse_arp_claim({frame.data(), static_cast<std::size_t>(size)});
    // The bridge itself hands a broadcast up once more, on a link that is no host's.
    if (host == nullptr || !claim) continue;
    if (loop_.now() - second_begun_ >= 1s) {
      second_begun_ = loop_.now();
      claims_ = 0;
    }
    if (claims_ > kClaimsPerSecondMax) continue;
    if (++claims_ > kClaimsPerSecondMax) {
      write(Kind::kLost, kSwitch);
      continue;
    }
    claim->host = host->name;
    write(*std::move(claim));
  }
  if (count > 0) note_lost_frames();
  return count > 0;
}

void Recorder::note_lost_frames() {
  tpacket_stats since_last{};
  socklen_t size = sizeof since_last;
  if (::getsockopt(arp_.get(), SOL_PACKET, PACKET_STATISTICS, &since_last, &size) != 0) return;
  if (since_last.tp_drops > 0) write(Kind::kLost, kSwitch);
}

void Recorder::flush() {
  if (pending_.empty()) return;
  const Instant now = fresh_now();
  std::string lines;
  for (auto& event : pending_) {
    event.at = now;
    lines += format_ownership_line(loop_.wall_time(), event);
  }
  pending_.clear();
  // A full disk loses lines and nothing else.
  static_cast<void>(!::write(file_.get(), lines.data(), lines.size()));
}

Result<void> record(const OwnershipRecorderPlan& plan, ReadySignal ready) {
  io::Descriptor file(::open(plan.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) return Error::from_errno(errno, plan.path);
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, kNiceness));
  auto loop = TRY(io::EpollLoop::create());
  // A socket belongs to the namespace that it was opened in.
  std::vector<Watched> hosts;
  for (const auto& host : plan.hosts) {
    TRY(enter_network(host.network));
    hosts.push_back({.name = host.name,
                     .switch_port = host.switch_port,
                     .monitor = TRY(io::NetworkMonitor::open()),
                     .netlink = TRY(io::Netlink::open())});
  }
  TRY(enter_network(plan.switch_network));
  auto monitor = TRY(io::NetworkMonitor::open());
  auto netlink = TRY(io::Netlink::open());
  Recorder recorder(*loop, std::move(file), std::move(monitor), std::move(netlink),
                    TRY(open_arp_socket()));
  for (auto& host : hosts) recorder.add(std::move(host));
  TRY(recorder.begin());
  ready.ready();
  loop->run();
  return Error(ErrorCode::kSystem, "stopped");
}

}  // namespace

std::string format_ownership_line(WallTime wall, const OwnershipEvent& event) {
  std::string words;
  for (const auto& each : kKindNames) {
    if (each.kind != event.kind) continue;
    words = each.name;
    if (each.words > 0) words += ' ' + event.host;
    if (each.words > 1) words += ' ' + event.address.ip_text();
    if (each.words > 2) words += ' ' + event.hardware;
  }
  return format_log_line(wall, event.at, words);
}

std::optional<OwnershipEvent> parse_ownership_line(std::string_view line) {
  const auto stamped = parse_log_line(line);
  if (!stamped) return std::nullopt;
  std::vector<std::string_view> words;
  for (std::string_view rest = stamped->text; !rest.empty();) {
    const auto space = std::min(rest.find(' '), rest.size());
    words.push_back(rest.substr(0, space));
    rest.remove_prefix(std::min(space + 1, rest.size()));
  }
  for (const auto& each : kKindNames) {
    const auto count = static_cast<std::size_t>(each.words) + 1;
    if (words.size() != count || words[0] != each.name) continue;
    OwnershipEvent event{.kind = each.kind, .at = stamped->at};
    if (count > 1) event.host = words[1];
    if (count > 2) {
      auto address = SocketAddress::parse_ip(words[2], 0);
      if (!address.has_value()) return std::nullopt;
      event.address = *std::move(address);
    }
    if (count > 3) event.hardware = words[3];
    return event;
  }
  return std::nullopt;
}

std::vector<OwnershipEvent> parse_ownership_lines(std::string_view text) {
  std::vector<OwnershipEvent> events;
  // What follows the last newline is still being written.
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    if (auto event = parse_ownership_line(text.substr(0, end))) events.push_back(*std::move(event));
    text.remove_prefix(end + 1);
  }
  return events;
}

std::optional<OwnershipEvent> parse_arp_claim(std::string_view frame) {
  if (frame.size() < kArpFrameSize || frame.substr(kArpHeadAt, kArpHead.size()) != kArpHead) {
    return std::nullopt;
  }
  const int operation = static_cast<unsigned char>(frame[kOperationAt]) << 8 |
                        static_cast<unsigned char>(frame[kOperationAt + 1]);
  OwnershipEvent event;
  event.address = ipv4_at(frame, kSenderAddressAt);
  if (event.address.is_wildcard()) return std::nullopt;
  event.hardware = hardware_text(frame.substr(kSenderHardwareAt, 6));
  if (event.address == ipv4_at(frame, kTargetAddressAt)) {
    event.kind = Kind::kAnnounced;
  } else if (operation == kReply) {
    event.kind = Kind::kAnswered;
  } else {
    return std::nullopt;
  }
  return event;
}

OwnershipRecorderPlan plan_ownership_recorder(LabNetwork& network, std::string path) {
  OwnershipRecorderPlan plan;
  plan.switch_network = network.switch_network().get();
  for (const auto& host : network.hosts()) {
    plan.hosts.push_back({.name = host.plan.name,
                          .network = host.namespaces.network.get(),
                          .switch_port = host.switch_port});
  }
  plan.path = std::move(path);
  return plan;
}

std::vector<int> descriptors_of(const OwnershipRecorderPlan& plan) {
  std::vector<int> descriptors{plan.switch_network};
  for (const auto& host : plan.hosts) descriptors.push_back(host.network);
  return descriptors;
}

int run_ownership_recorder(const OwnershipRecorderPlan& plan, ReadySignal ready) {
  const auto ended = record(plan, std::move(ready));
  std::fprintf(stderr, "ownership recorder: %s\n", ended.error().message().c_str());
  return 1;
}

}  // namespace nines::lab
