// Who held an address, second by second: what the hosts' kernels had, what the segment heard and
// what the drill did to the hosts, brought together into spans, counts and a story for people.
// Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"

namespace nines::lab {

struct OwnershipEvent {
  enum class Kind : std::uint8_t {
    kBegan,      // the recorder watches from here on; what it found follows at the same instant
    kLost,       // changes at `host` were missed before this; what was then found follows
    kHeld,       // the kernel of `host` has `address`
    kReleased,   // and has it no longer
    kAnnounced,  // a gratuitous ARP: `address` is at `hardware`, and it came out of `host`
    kAnswered,   // an ARP reply that says so
    // What was done to `host`, as the drill or the recorder tells; twice the same is once.
    kDied,      // its kernel's addresses count as gone
    kReturned,  // they count again
    kCut,       // it holds on behind a cut: nobody reaches it
    kHealed,
  };
  Kind kind = Kind::kBegan;
  Instant at;
  std::string host = {};
  SocketAddress address = {};  // of kHeld to kAnswered; the port is not used
  std::string hardware = {};   // of kAnnounced and kAnswered: "02:00:00:00:00:01"

  friend bool operator==(const OwnershipEvent&, const OwnershipEvent&) = default;
};

// The stretches of a window in which something was so.
struct OwnershipSpans {
  int count = 0;
  Duration total{};
  Duration longest{};

  friend bool operator==(const OwnershipSpans&, const OwnershipSpans&) = default;
};

// One host's uninterrupted holding, as offsets into the window and ending with it.
struct Holding {
  std::string host;
  Duration begin{};
  Duration end{};
  bool cut_off = false;

  friend bool operator==(const Holding&, const Holding&) = default;
};

// Gratuitous ARPs of one host that follow each other sooner than Ownership::kAnnouncementsApart.
struct AnnouncementBurst {
  std::string host;
  Duration at{};  // the first, since the window's begin
  int count = 0;

  friend bool operator==(const AnnouncementBurst&, const AnnouncementBurst&) = default;
};

struct OwnershipMoment {
  Duration at{};  // since the window's begin
  std::string what;
};

struct OwnershipReport {
  // By name: who held it within reach, just before the window and at its end.
  std::vector<std::string> before, after;
  std::vector<std::string> cut_off_before, cut_off_after;  // and who held it behind a cut
  OwnershipSpans nobody;                                   // no host within reach held it
  OwnershipSpans overlap;                                  // more than one within reach did
  OwnershipSpans overlap_with_cut_off;                     // more than one in all did
  std::map<std::string, int> announced;                    // gratuitous ARPs by host
  std::map<std::string, int> answered;                     // ARP replies by host
  std::vector<Holding> holdings;                           // by begin, then by host
  std::vector<AnnouncementBurst> bursts;                   // at most Ownership::kMomentsMax
  std::vector<OwnershipMoment> timeline;                   // at most Ownership::kMomentsMax
  // The recorder watched throughout. Otherwise instants may be later than what they tell of.
  bool complete = true;
};

// One address. Remembers what it is told and answers for any window; values only, no thread.
class Ownership {
 public:
  static constexpr std::size_t kEventsMax = 100'000;  // later ones are dropped: not complete
  static constexpr std::size_t kMomentsMax = 200;
  // Announcements of one host that follow each other sooner are told as one.
  static constexpr Duration kAnnouncementsApart = 1s;

  explicit Ownership(SocketAddress address) : address_(address.with_port(0)) {}

  // In any order; events of one instant in theirs. Other addresses' are ignored.
  void handle(OwnershipEvent event);
  // `begin` belongs to the window, `end` does not.
  OwnershipReport report(Instant begin, Instant end) const;

  const SocketAddress& address() const { return address_; }

 private:
  SocketAddress address_;
  std::vector<OwnershipEvent> events_;  // by instant
  bool full_ = false;
};

// "node01", "node01+node02", "nobody".
std::string render_holders(std::span<const std::string> hosts);
// "+0.000 node01 holds; +3.612 node02 holds, announced x5".
std::string render_timeline(const OwnershipReport& report);

}  // namespace nines::lab
