// Asks at the virtual address itself every few milliseconds who is there, beside and apart from the
// services' requests: so an address that was silent can be told from a balancer that was.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/loop.h"
#include "lab/drill_report.h"

namespace nines::lab {

// Lives on the loop it is given, from the network that the loop's thread was in when it began.
class AddressProbe final : public io::DatagramHandler, private Timer {
 public:
  static constexpr Duration kInterval = 5ms;

  AddressProbe(io::Loop& loop, SocketAddress echo) : loop_(loop), echo_(std::move(echo)) {}
  ~AddressProbe() override;

  Result<void> begin();
  void forget() { answers_.clear(); }

  // In the order in which they came. AddressAnswer::node is an index of nodes().
  const std::vector<AddressAnswer>& answers() const { return answers_; }
  const std::vector<std::string>& nodes() const { return nodes_; }
  // Who answered last, and when; empty when nobody has.
  std::string_view holder() const;
  Instant last_at() const { return last_at_; }

  void on_datagram(const SocketAddress& from, std::string_view bytes) override;

 private:
  void on_timer(Instant now) override;

  io::Loop& loop_;
  SocketAddress echo_;
  io::Datagram* socket_ = nullptr;
  std::uint64_t sequence_ = 0;
  std::vector<AddressAnswer> answers_;
  std::vector<std::string> nodes_;
  int last_node_ = -1;
  Instant last_at_;
};

}  // namespace nines::lab
