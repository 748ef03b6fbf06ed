// A change of nftables wakes, the sets are read, and while any rule stands they are read again and
// again. Names are spelt out here and not taken from the engine: the lab shares no code with what
// it tests.
#include "lab/peer_rules_recorder.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <set>
#include <utility>

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/linux/epoll_loop.h"
#include "lab/log_sink.h"

namespace nines::lab {
namespace {

using Kind = RuleEvent::Kind;

constexpr const char* kTable = "nines-dead-peers";
constexpr const char* kSet = "dead4";  // of (address . port)
constexpr std::size_t kRequestSize = 512;
constexpr std::size_t kAnswerSize = 64u << 10;
constexpr int kMonitorBuffer = 1 << 20;  // bytes in the kernel
constexpr int kDumpsMax = 8;             // at once, when sets change meanwhile
constexpr int kNiceness = -10;           // the instants are as good as the recorder is prompt

using Addresses = std::set<SocketAddress>;

Result<io::Descriptor> open_netfilter(int flags) {
  io::Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_NETFILTER));
  if (!socket) return Error::from_errno(errno, "a socket for nftables");
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) {
    return Error::from_errno(errno, "a socket for nftables");
  }
  return socket;
}

Result<io::Descriptor> open_monitor() {
  io::Descriptor monitor = TRY(open_netfilter(SOCK_NONBLOCK));
  static_cast<void>(::setsockopt(monitor.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kMonitorBuffer,
                                 sizeof kMonitorBuffer));
  const int group = NFNLGRP_NFTABLES;
  if (::setsockopt(monitor.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return Error::from_errno(errno, "the group of nftables");
  }
  return monitor;
}

// libmnl's own loops are C and convert void pointers.
template <typename Visit>
void for_each_attribute(const void* first, const void* end, Visit visit) {
  const auto* at = static_cast<const nlattr*>(first);
  const auto left = [&] {
    return static_cast<int>(static_cast<const char*>(end) - reinterpret_cast<const char*>(at));
  };
  for (; mnl_attr_ok(at, left()); at = mnl_attr_next(at)) visit(at);
}

// Those of `type` in a nest.
template <typename Visit>
void for_each_nested(const nlattr* nest, int type, Visit visit) {
  const auto* const payload = static_cast<const char*>(mnl_attr_get_payload(nest));
  for_each_attribute(payload, payload + mnl_attr_get_payload_len(nest), [&](const nlattr* each) {
    if (mnl_attr_get_type(each) == type) visit(each);
  });
}

// The addresses of one message's elements.
void take_elements(const nlmsghdr* header, Addresses& found) {
  const auto take_value = [&](const nlattr* value) {
    std::array<std::uint8_t, 4> bytes{};
    if (mnl_attr_get_payload_len(value) < bytes.size()) return;
    std::memcpy(bytes.data(), mnl_attr_get_payload(value), bytes.size());
    found.insert(SocketAddress::ipv4(bytes, 0));
  };
  for_each_attribute(mnl_nlmsg_get_payload_offset(header, sizeof(nfgenmsg)),
                     mnl_nlmsg_get_payload_tail(header), [&](const nlattr* list) {
                       if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS) return;
                       for_each_nested(list, NFTA_LIST_ELEM, [&](const nlattr* element) {
                         for_each_nested(element, NFTA_SET_ELEM_KEY, [&](const nlattr* key) {
                           for_each_nested(key, NFTA_DATA_VALUE, take_value);
                         });
                       });
                     });
}

struct Watched {
  std::string name;
  io::Descriptor monitor;
  io::Descriptor netlink;
  Addresses refused = {};
  bool stale = false;  // could not be read
};

class Recorder final : private Timer {
 public:
  Recorder(io::EpollLoop& loop, io::Descriptor file, std::vector<Watched> hosts)
      : loop_(loop), file_(std::move(file)), hosts_(std::move(hosts)), answer_(kAnswerSize) {}

  void begin() {
    write({.kind = Kind::kBegan, .at = {}});
    for (auto& host : hosts_) look(host);
    for (auto& host : hosts_) {
      loop_.watch_descriptor(host.monitor.get(), EPOLLIN, [this, &host](std::uint32_t) {
        drain(host);
        look(host);
      });
    }
  }

 private:
  void on_timer(Instant) override {
    for (auto& host : hosts_) {
      if (host.stale || !host.refused.empty()) look(host);
    }
  }

  // What changed is read from the sets: that something did is all that counts, lost or not.
  void drain(Watched& host) {
    while (::recv(host.monitor.get(), answer_.data(), answer_.size(), 0) > 0 || errno == ENOBUFS) {
    }
  }

  void look(Watched& host) {
    std::optional<Addresses> found;
    for (int i = 0; i < kDumpsMax && !found; ++i) found = dump(host);
    if (!found) {
      host.stale = true;
    } else {
      if (host.stale) write({.kind = Kind::kLost, .at = {}, .host = host.name});
      host.stale = false;
      for (const auto& address : host.refused) {
        if (!found->contains(address)) write({Kind::kGone, {}, host.name, address});
      }
      for (const auto& address : *found) {
        if (!host.refused.contains(address)) write({Kind::kStands, {}, host.name, address});
      }
      host.refused = *std::move(found);
    }
    if (host.stale || !host.refused.empty()) loop_.arm(*this, kRulePollInterval);
  }

  // Nothing when the set changed meanwhile, or the kernel did not answer.
  std::optional<Addresses> dump(Watched& host) {
    std::array<char, kRequestSize> request{};
    nlmsghdr* header = mnl_nlmsg_put_header(request.data());
    header->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = ++sequence_;
    auto* family = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
    family->nfgen_family = NFPROTO_INET;
    family->version = NFNETLINK_V0;
    mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, kTable);
    mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET, kSet);
    if (::send(host.netlink.get(), header, header->nlmsg_len, 0) < 0) return std::nullopt;
    Addresses found;
    while (true) {
      // The kernel fills a dump as it is read: nothing here waits.
      const ssize_t size = ::recv(host.netlink.get(), answer_.data(), answer_.size(), MSG_DONTWAIT);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return std::nullopt;
      int left = static_cast<int>(size);
      const auto* message = reinterpret_cast<const nlmsghdr*>(answer_.data());
      for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        if (message->nlmsg_seq != sequence_) continue;  // the rest of a dump that was given up
        if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) return std::nullopt;
        if (message->nlmsg_type == NLMSG_DONE) return found;
        if (message->nlmsg_type == NLMSG_ERROR) {
          const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
          if (error->error == -ENOENT) return Addresses();  // no such table: nobody is dead
          return std::nullopt;
        }
        take_elements(message, found);
      }
    }
  }

  void write(RuleEvent event) {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    const Instant at{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
    const std::string line = format_log_line(loop_.wall_time(), at, rule_words(event));
    // A full disk loses lines and nothing else.
    static_cast<void>(!::write(file_.get(), line.data(), line.size()));
  }

  io::EpollLoop& loop_;
  io::Descriptor file_;
  std::vector<Watched> hosts_;
  std::vector<char> answer_;
  std::uint32_t sequence_ = 0;
};

Result<void> record(const PeerRulesRecorderPlan& plan, ReadySignal ready) {
  io::Descriptor file(::open(plan.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) return Error::from_errno(errno, plan.path);
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, kNiceness));
  auto loop = TRY(io::EpollLoop::create());
  // A socket belongs to the namespace that it was opened in.
  std::vector<Watched> hosts;
  for (const auto& host : plan.hosts) {
    if (::setns(host.network, CLONE_NEWNET) != 0) return Error::from_errno(errno, "setns network");
    hosts.push_back(
        {.name = host.name, .monitor = TRY(open_monitor()), .netlink = TRY(open_netfilter(0))});
  }
  if (::setns(plan.switch_network, CLONE_NEWNET) != 0) {
    return Error::from_errno(errno, "setns network");
  }
  Recorder recorder(*loop, std::move(file), std::move(hosts));
  recorder.begin();
  ready.ready();
  loop->run();
  return Error(ErrorCode::kSystem, "stopped");
}

}  // namespace

PeerRulesRecorderPlan plan_peer_rules_recorder(LabNetwork& network, std::string path) {
  PeerRulesRecorderPlan plan;
  plan.switch_network = network.switch_network().get();
  for (const auto& host : network.hosts()) {
    if (host.plan.role != HostRole::kController) continue;
    plan.hosts.push_back({.name = host.plan.name, .network = host.namespaces.network.get()});
  }
  plan.path = std::move(path);
  return plan;
}

std::vector<int> descriptors_of(const PeerRulesRecorderPlan& plan) {
  std::vector<int> descriptors{plan.switch_network};
  for (const auto& host : plan.hosts) descriptors.push_back(host.network);
  return descriptors;
}

int run_peer_rules_recorder(const PeerRulesRecorderPlan& plan, ReadySignal ready) {
  const auto ended = record(plan, std::move(ready));
  std::fprintf(stderr, "recorder of rules: %s\n", ended.error().message().c_str());
  return 1;
}

}  // namespace nines::lab
