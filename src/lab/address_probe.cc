// A question is a number and a space; an answer is the question and the host's name behind it.
#include "lab/address_probe.h"

#include <algorithm>
#include <utility>

namespace nines::lab {
namespace {

constexpr std::size_t kAnswersMax = 1u << 20;  // more than an hour's
constexpr std::size_t kNodesMax = 100;

}  // namespace

AddressProbe::~AddressProbe() {
  if (socket_ != nullptr) socket_->close();
}

Result<void> AddressProbe::begin() {
  const auto anywhere = TRY(SocketAddress::parse_ip("0.0.0.0", 0));
  socket_ = TRY(loop_.open_datagram(anywhere, *this));
  loop_.arm(*this, Duration(0));
  return {};
}

std::string_view AddressProbe::holder() const {
  return last_node_ < 0 ? std::string_view() : nodes_[static_cast<std::size_t>(last_node_)];
}

void AddressProbe::on_timer(Instant now) {
  loop_.arm(*this, now + kInterval);
  // Nobody there, or no way to there: that is what is measured.
  static_cast<void>(socket_->send_to(echo_, std::to_string(++sequence_) + ' '));
}

void AddressProbe::on_datagram(const SocketAddress&, std::string_view bytes) {
  const auto space = bytes.find(' ');
  if (space == std::string_view::npos || answers_.size() >= kAnswersMax) return;
  const std::string_view name = bytes.substr(space + 1);
  auto found = std::find(nodes_.begin(), nodes_.end(), name);
  if (found == nodes_.end()) {
    if (nodes_.size() >= kNodesMax) return;
    found = nodes_.insert(nodes_.end(), std::string(name));
  }
  last_node_ = static_cast<int>(found - nodes_.begin());
  last_at_ = loop_.now();
  answers_.push_back({.at = last_at_, .node = static_cast<std::int8_t>(last_node_)});
}

}  // namespace nines::lab
