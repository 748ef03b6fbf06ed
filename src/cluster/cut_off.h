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
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "address/refusals.h"
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
      kBlocked,    // the rule stands that was not standing before
      kDestroyed,  // `sockets` of them
      kFailed,     // error
    };
    NodeId node = 0;
    Kind kind = Kind::kFailed;
    std::size_t sockets = 0;
    std::string error;
  };
  using Addresses = std::map<NodeId, std::vector<SocketAddress>>;

  // kUnsupported, kRefused: what the kernel cannot do, or does not allow.
  static Result<address::Refusals> rehearse();

  // `addresses`: of each node's services. `tell` is called on the thread.
  CutOff(address::Refusals refusals, Addresses addresses, std::vector<std::uint16_t> ports,
         std::function<void(const News&)> tell);
  ~CutOff();  // ends the thread; the kernel forgets the rules
  CutOff(const CutOff&) = delete;
  CutOff& operator=(const CutOff&) = delete;

  // None of these waits.
  void block(NodeId node, Instant until);
  void unblock(NodeId node);
  // Once the rule stands; forgotten when it is taken away first.
  void destroy(NodeId node);
  void set_ports(std::vector<std::uint16_t> ports);

 private:
  struct Wishes {
    std::map<NodeId, Instant> until;
    std::set<NodeId> destroy;
    std::vector<std::uint16_t> ports;
  };

  void run();
  void carry_out(const Wishes& wishes);

  address::Refusals refusals_;  // the thread's
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
