// What a verdict does in the kernel, on a thread of its own: the rule, then the sockets. Whoever
// loads a large firewall holds nftables up for half a second, and thousands of sockets take their
// time to destroy; the loop that renews leases waits for neither.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "address/refusals.h"
#include "address/stand_ins.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "cluster/node_set.h"

namespace nines::cluster {

// What is wanted is kept, not queued: a thread that was held up finds the latest wish, and there is
// never more than one for each node. Belongs to the network namespace of the thread that makes it.
class CutOff {
 public:
  struct News {
    enum class Kind : std::uint8_t {
      kBlocked,         // the rule stands that was not standing before
      kUnblocked,       // nothing stands any more, after unblock()
      kDestroyed,       // `sockets` of them
      kNobodyStandsIn,  // though somebody should: error
      kFailed,          // error
    };
    NodeId node = 0;
    Kind kind = Kind::kFailed;
    std::size_t sockets = 0;
    std::string error;
  };
  using Addresses = std::map<NodeId, std::vector<SocketAddress>>;

  // kUnsupported, kRefused: what the kernel cannot do, or does not allow.
  static Result<address::Refusals> rehearse();

  // A service is told by its port.
  struct Ports {
    std::vector<std::uint16_t> refused;
    std::vector<std::uint16_t> stand_in;  // where a living node stands in, as far as one is named
    friend bool operator==(const Ports&, const Ports&) = default;
  };

  // `addresses`: of each node's services, this one's own as well; the same place in each list is
  // the same network. `stand_ins`: none, nobody stands in. `tell` is called on the thread.
  CutOff(address::Refusals refusals, std::optional<address::StandIns> stand_ins,
         Addresses addresses, Ports ports, std::function<void(const News&)> tell);
  ~CutOff();  // ends the thread; the kernel forgets the rules
  CutOff(const CutOff&) = delete;
  CutOff& operator=(const CutOff&) = delete;

  // None of these waits.
  // `living`: who may stand in for it.
  void block(NodeId node, Instant until, NodeSet living);
  void unblock(NodeId node);
  // Once the rule stands; forgotten when it is taken away first.
  void destroy(NodeId node);
  void set_ports(Ports ports);

 private:
  struct Block {
    Instant until{};
    NodeSet living;
  };
  struct Wishes {
    std::map<NodeId, Block> blocks;
    std::set<NodeId> destroy;
    NodeSet unblocked;  // whose end is still to be told
    Ports ports;
  };

  void run();
  void carry_out(const Wishes& wishes);
  void tell_of(NodeSet nodes, News::Kind kind, const std::string& error = {});
  Result<void> set_stand_ins(const Wishes& wishes);

  address::Refusals refusals_;                  // the thread's
  std::optional<address::StandIns> stand_ins_;  // the thread's
  const Addresses addresses_;
  std::function<void(const News&)> tell_;
  NodeSet standing_;  // the thread's
  std::mutex mutex_;
  std::condition_variable news_;
  Wishes wishes_;         // guarded by mutex_
  bool changed_ = false;  // guarded by mutex_
  bool ending_ = false;   // guarded by mutex_
  std::thread thread_;
};

}  // namespace nines::cluster
