// What a drill sees of rules against dead hosts and of programs that notice them: the recorder's
// lines, the engines' words, clients on the controllers, and whoever asks a host that has returned.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/linux/epoll_loop.h"
#include "lab/balancer_looker.h"
#include "lab/drill_lab.h"
#include "lab/drill_load.h"
#include "lab/drill_plan.h"
#include "lab/drill_report.h"
#include "lab/engine_words.h"
#include "lab/peer_clients.h"
#include "lab/peer_rules.h"

namespace nines::lab {

// Asks the kernel of a host that returns, at a port that no rule is about, until it answers: with
// its cable plugged in a host is not reached yet by whoever asked for its hardware address in vain
// (ARP asks again after a second).
class ReturnProbe final : private Timer {
 public:
  static constexpr Duration kInterval = std::chrono::milliseconds(5);
  static constexpr Duration kPatience = std::chrono::milliseconds(50);
  static constexpr std::uint16_t kPort = 9;  // nobody listens: a kernel refuses at once

  // `within` runs what it is given in the network that is asked from.
  using Within = std::function<void(const std::function<void()>&)>;
  using Reached = std::function<void(Instant at)>;
  ReturnProbe(io::Loop& loop, SocketAddress host, Within within, Reached reached);
  ~ReturnProbe() override;

 private:
  class Attempt;
  void on_timer(Instant now) override;

  io::Loop& loop_;
  SocketAddress host_;
  Within within_;
  Reached reached_;  // called once
  bool done_ = false;
  std::vector<std::unique_ptr<Attempt>> attempts_;
};

// Lives on its loop, in the client's network; the lab outlives it.
class DrillPeers {
 public:
  static Result<std::unique_ptr<DrillPeers>> create(io::EpollLoop& loop, const DrillLab& lab);

  // Between the two the clients connect; what was known of the scenario before is forgotten.
  void begin();
  void end();

  // What the drill has done, before the first look at what came of it.
  void on_act(const Phase& phase, const std::vector<std::string>& hosts, Instant at);
  // Reads what is new; often.
  void read(Instant now);
  // The rules that stand are those that have a reason, and whoever returned serves all it has.
  bool is_settled() const;
  // Of the phase whose act was the last.
  PhaseReport::Peers report(const Window& window) const;

 private:
  struct Heard {
    Instant at;
    PeerWord word;
    std::string host;  // who says it
  };

  DrillPeers(io::EpollLoop& loop, const DrillLab& lab, PeerRules rules,
             std::unique_ptr<PeerClients> clients);
  void await_return(const std::string& host, const SocketAddress& address);
  bool all_are_back() const;
  std::optional<Duration> last_word(PeerWord::Kind kind, const Window& window) const;
  std::optional<Duration> first_word(PeerWord::Kind kind, const Window& window) const;

  io::EpollLoop& loop_;
  const DrillLab& lab_;
  const PeerRules nothing_;  // as a scenario begins
  PeerRules rules_;
  std::unique_ptr<PeerClients> clients_;
  LogTail recorder_;
  std::vector<LineTail> words_;  // by the index of the lab's hosts
  std::vector<Heard> heard_;
  std::set<std::string> about_, away_, broken_;
  using Names = std::pair<std::string, std::string>;
  std::map<Names, std::unique_ptr<ReturnProbe>> returning_;  // by who asks, and whom
  std::map<Names, Instant> reached_;
  // Asks the services of hosts that have returned; none: no host did.
  std::unique_ptr<DrillLoad> asking_;
  std::vector<LoadTarget> asked_;
};

}  // namespace nines::lab
