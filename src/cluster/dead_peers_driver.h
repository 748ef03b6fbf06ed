// Runs the machine of dead peers on a loop: what membership sees goes in, rules and destroyed
// sockets go to the kernel by a thread, echo requests to hosts, and who gets no work to whoever
// balances. Duties: dead_peers.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "cluster/cut_off.h"
#include "cluster/dead_peers.h"
#include "cluster/echo_probe.h"
#include "cluster/healing.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"

namespace nines::cluster {

struct DeadPeersHost {
  std::string name;
  std::vector<SocketAddress> services;  // where its services are; ports are ignored
  std::vector<SocketAddress> networks;  // where its kernel is asked; ports are ignored
};

// What a host's servers get of the balancer's work.
enum class Share : std::uint8_t {
  kAll,
  kNone,    // a suspect: nothing new while another can take it
  kGone,    // dead: nothing while anybody can take it, whatever that costs
  kSlowly,  // all again, step by step
};

struct DeadPeersReport {
  struct Node {
    std::string name;
    DeadPeerStatus status;
    std::uint64_t sockets_destroyed = 0;  // since this process began
    // Of its last return from a verdict, and whether more of them are waited for.
    std::vector<HealedService> healed = {};
    bool heals = false;
    std::string error;  // why the kernel did not do it; empty: it did
  };
  bool on = false;
  Duration silence{}, hold_down{};
  std::vector<std::uint16_t> ports;
  std::vector<std::uint16_t> stand_in;  // of them those where living nodes stand in for a dead one
  std::string missing;      // what the kernel cannot do, or does not allow; empty: nothing
  std::string no_stand_in;  // why nobody stands in though somebody should; empty: they do
  std::string no_echo;      // why hosts are not asked; empty: they are
  std::vector<Node> nodes;
};

// Lives on its loop; loop and log outlive it. Never called back after its end.
class DeadPeersDriver : private Timer {
 public:
  struct Options {
    DeadPeersOptions machine;
    CutOff::Ports ports;
    std::map<NodeId, DeadPeersHost> hosts;    // without self
    std::vector<SocketAddress> own_services;  // of self, if it has such services; ports are ignored
    // From start() until it looks. A second of silence comes before any verdict; the kernel's parts
    // take some 20 ms to make, for which a killed owner's address would wait.
    Duration begin_after = std::chrono::milliseconds(100);
  };
  // CLOCK_BOOTTIME at this very moment.
  using Clock = std::function<Instant()>;
  using Look = std::function<dead_peer_event::Look(Instant now)>;
  using Shared = std::function<void(const DeadPeersHost& host, Share share)>;

  // kInvalid: options that cannot be. A kernel that cannot refuse connections or destroy sockets is
  // none: verdicts then only go to the balancer, and the report says why.
  static Result<std::unique_ptr<DeadPeersDriver>> create(Options options, io::EpollLoop& loop,
                                                         Clock clock, Look look, Shared shared,
                                                         io::Log& log);
  ~DeadPeersDriver() override;

  // Once, when membership has begun.
  void start();
  // Membership sees something else than before.
  void changed();
  // Called after each look, with what it came to.
  using Judged = std::function<void(const dead_peer_event::Look& look, NodeSet dead)>;
  void on_judged(Judged callback) { judged_ = std::move(callback); }
  // What may change while it runs; checked by DeadPeers::check() and check_refusable_ports().
  void configure(bool on, Duration silence, Duration hold_down, CutOff::Ports ports);

  DeadPeersReport report() const;
  NodeSet blocked() const { return machine_.blocked(); }

 private:
  struct Tally {
    std::uint64_t sockets = 0;
    std::string error;
  };

  DeadPeersDriver(DeadPeers machine, Options options, io::EpollLoop& loop, Clock clock, Look look,
                  Shared shared, io::Log& log);

  void on_timer(Instant) override;
  void begin();
  void handle(const DeadPeerEvent& event);
  void perform(const DeadPeerEffect& effect, Instant now);
  void make_cut_off();
  NodeSet living(Instant now) const;
  void watch_healing(NodeId node);
  void heard_from_kernel(const CutOff::News& news);
  void say(io::Severity severity, NodeId node, const std::string& what, Instant now);
  const std::string& name_of(NodeId node) const { return options_.hosts.at(node).name; }

  DeadPeers machine_;
  Options options_;
  io::EpollLoop& loop_;
  Clock clock_;
  Look look_;
  Shared shared_;
  Judged judged_;
  io::Log& log_;
  std::string missing_, no_stand_in_, no_echo_;
  std::unique_ptr<EchoProbe> echo_;
  std::unique_ptr<CutOff> cut_off_;  // none: the kernel cannot
  HealingWatch healing_;
  std::map<NodeId, Tally> tallies_;
  NodeSet gone_;  // whom the balancer knows to be dead
  DeadPeerEffects effects_;
  bool begun_ = false;
  bool handling_ = false;
  // Whether this driver still lives, for what the thread posts; shared with that alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace nines::cluster
