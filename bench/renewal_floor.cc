// What a renewal of a lease costs at the least on a machine: each 30 ms a datagram to each of some
// peers, and their echoes read. No cipher, no vote, no guard, nothing else.
//
//   renewal_floor PORT PEER...    asks those (IPv4)
//   renewal_floor PORT            echoes
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <arpa/inet.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace {

constexpr long kInterval = 30'000'000;  // nanoseconds: a quarter of a term of 120 ms
constexpr std::size_t kSize = 300;      // bytes, about those of a renewal with a heartbeat

using Address = sockaddr_in;

void must(bool done, const char* what) {
  if (done) return;
  std::perror(what);
  std::exit(1);
}

Address address_of(const char* ip, int port) {
  Address address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  must(::inet_pton(AF_INET, ip, &address.sin_addr) == 1, ip);
  return address;
}

void send(int socket, const std::array<char, kSize>& data, std::size_t size, const Address& to) {
  // One that is lost is asked for again in 30 ms.
  (void)::sendto(socket, data.data(), size, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    std::fputs("usage: renewal_floor PORT [PEER...]\n", stderr);
    return 2;
  }
  const int port = std::atoi(words[1]);
  std::vector<Address> peers;
  for (int i = 2; i < count; ++i) peers.push_back(address_of(words[i], port));

  // As an owner runs.
  const sched_param first{.sched_priority = 1};
  must(::sched_setscheduler(0, SCHED_FIFO, &first) == 0, "SCHED_FIFO");
  must(::mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall");

  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  const Address here = address_of("0.0.0.0", port);
  must(::bind(socket, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0, "bind");
  const int timer = ::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK);
  const int poll = ::epoll_create1(0);
  for (const int each : {socket, timer}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = each;
    must(::epoll_ctl(poll, EPOLL_CTL_ADD, each, &event) == 0, "epoll_ctl");
  }
  if (!peers.empty()) {
    const itimerspec every{{0, kInterval}, {0, kInterval}};
    must(::timerfd_settime(timer, 0, &every, nullptr) == 0, "timerfd_settime");
  }

  std::array<char, kSize> data{};
  while (true) {
    std::array<epoll_event, 4> events;
    const int ready = ::epoll_wait(poll, events.data(), events.size(), -1);
    for (int i = 0; i < ready; ++i) {
      if (events[static_cast<std::size_t>(i)].data.fd == timer) {
        std::uint64_t times = 0;
        must(::read(timer, &times, sizeof times) == sizeof times, "timer");
        for (const Address& peer : peers) send(socket, data, data.size(), peer);
        continue;
      }
      Address from{};
      socklen_t size = sizeof from;
      ssize_t got = 0;
      while ((got = ::recvfrom(socket, data.data(), data.size(), 0,
                               reinterpret_cast<sockaddr*>(&from), &size)) >= 0) {
        if (peers.empty()) send(socket, data, static_cast<std::size_t>(got), from);
      }
    }
  }
}
