// Frames are read and written with the kernel's own header before them (packet(7),
// PACKET_VNET_HDR): a checksum that a card would fill in, and segments that it would cut, pass as
// they are.
#include "lab/line_relay.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "io/linux/descriptor.h"

namespace nines::lab {

struct LineSettings::Shared {
  std::atomic<int> loss_from{0};
  std::atomic<int> loss_to{0};
  std::atomic<std::int64_t> delay{0};  // nanoseconds
};

namespace {

static_assert(std::atomic<std::int64_t>::is_always_lock_free &&
                  std::atomic<int>::is_always_lock_free,
              "the page is shared between processes");

// struct virtio_net_hdr, whose header is no C++.
constexpr std::size_t kKernelHeader = 10;
// A frame of a segment that is still to be cut, and the header.
constexpr std::size_t kFrameMax = 65536 + ETH_HLEN + kKernelHeader;
constexpr int kFramesAtOnceMax = 64;  // of one side, before the other has its turn
constexpr int kReceiveBuffer = 4 << 20;
// Before other work, or a loaded machine would be a rougher line than was asked for.
constexpr int kRealTimePriority = 1;

Instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return Instant{time.tv_sec * 1'000'000'000ll + time.tv_nsec};
}

Result<io::Descriptor> open_side(int link) {
  io::Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error::from_errno(errno, "packet socket");
  const int on = 1;
  const int size = kReceiveBuffer;
  if (::setsockopt(socket.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
      ::setsockopt(socket.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
    return Error::from_errno(errno, "packet socket");
  }
  const packet_mreq all{
      .mr_ifindex = link, .mr_type = PACKET_MR_PROMISC, .mr_alen = 0, .mr_address = {}};
  if (::setsockopt(socket.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) != 0) {
    return Error::from_errno(errno, "promiscuous mode");
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = __builtin_bswap16(ETH_P_ALL);
  address.sll_ifindex = link;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::from_errno(errno, "bind a packet socket");
  }
  return socket;
}

// One direction at work.
class Carrier {
 public:
  Carrier(int from, int to, std::uint64_t seed) : from_(from), to_(to), direction_(seed) {}

  int from() const { return from_; }
  std::optional<Instant> next() const { return direction_.next(); }

  void carry(int loss, Duration delay) {
    std::array<char, kFrameMax> buffer;
    for (int i = 0; i < kFramesAtOnceMax; ++i) {
      // A link that is down says so once and goes on later.
      const ssize_t size = ::recv(from_, buffer.data(), buffer.size(), 0);
      if (size <= static_cast<ssize_t>(kKernelHeader)) break;
      direction_.put(std::string(buffer.data(), static_cast<std::size_t>(size)), loss, delay,
                     now());
    }
    while (const auto frame = direction_.take(now())) {
      // What the other side does not take is lost, as on any wire.
      static_cast<void>(::send(to_, frame->data(), frame->size(), MSG_DONTWAIT | MSG_NOSIGNAL));
    }
  }

 private:
  int from_, to_;
  RoughDirection direction_;
};

timespec until(std::optional<Instant> due) {
  const Duration rest = due ? std::max(Duration(0), *due - now()) : std::chrono::hours(1);
  return {.tv_sec = rest.count() / 1'000'000'000, .tv_nsec = rest.count() % 1'000'000'000};
}

Result<void> relay(const LineRelayPlan& plan, ReadySignal& ready) {
  if (::setns(plan.network, CLONE_NEWNET) != 0) return Error::from_errno(errno, "setns");
  const auto host_side = TRY(open_side(plan.host_side));
  const auto switch_side = TRY(open_side(plan.switch_side));
  const sched_param priority{.sched_priority = kRealTimePriority};
  ::sched_setscheduler(0, SCHED_FIFO, &priority);  // refused: at the machine's leisure
  Carrier out(host_side.get(), switch_side.get(), 1);
  Carrier in(switch_side.get(), host_side.get(), 2);
  ready.ready();
  while (true) {
    std::array<pollfd, 2> waiting{{{out.from(), POLLIN, 0}, {in.from(), POLLIN, 0}}};
    std::optional<Instant> due = out.next();
    if (const auto other = in.next(); other && (!due || *other < *due)) due = other;
    const timespec rest = until(due);
    if (::ppoll(waiting.data(), waiting.size(), &rest, nullptr) < 0 && errno != EINTR) {
      return Error::from_errno(errno, "ppoll");
    }
    const Roughness roughness = plan.settings->get();
    out.carry(roughness.loss_from, roughness.delay);
    in.carry(roughness.loss_to, roughness.delay);
  }
}

}  // namespace

Result<LineSettings> LineSettings::create() {
  void* const page =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return Error::from_errno(errno, "mmap");
  return LineSettings(new (page) Shared);
}

void LineSettings::Unmap::operator()(Shared* shared) const { ::munmap(shared, sizeof(Shared)); }

void LineSettings::set(const Roughness& roughness) const {
  shared_->loss_from = roughness.loss_from;
  shared_->loss_to = roughness.loss_to;
  shared_->delay = roughness.delay.count();
}

Roughness LineSettings::get() const {
  return {.loss_from = shared_->loss_from,
          .loss_to = shared_->loss_to,
          .delay = Duration(shared_->delay)};
}

int run_line_relay(const LineRelayPlan& plan, ReadySignal ready) {
  const auto ended = relay(plan, ready);
  std::fprintf(stderr, "line: %s\n", ended.error().message().c_str());
  return 1;
}

}  // namespace nines::lab
