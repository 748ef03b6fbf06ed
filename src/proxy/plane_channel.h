// The wire between the master and the proxy plane: a seqpacket socket pair. The master sends
// listening sockets and configurations, the plane answers whether it took them. Either side learns
// of the other's death by the end of the stream.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/linux/descriptor.h"

namespace nines::proxy {

// One message: a kind, a text, and at most one descriptor.
struct ChannelMessage {
  enum class Kind : std::uint8_t {
    kListener = 'L',    // to the plane: text is the listener's key, with its socket
    kConfigure = 'C',   // to the plane: a memfd with the configuration's files; ends the listeners
    kStopSoftly = 'S',  // to the plane
    kBadReload = 'B',   // to the plane: a reload failed before it got that far, text: why
    kTaken = 'T',       // to the master: the configuration runs
    kRefused = 'R',     // to the master: text says why; what ran before runs on
  };
  Kind kind = Kind::kTaken;
  std::string text;
  io::Descriptor descriptor;
};

inline constexpr std::size_t kChannelTextMax = 8192;  // bytes of a message's text

// Blocking only while the other side's buffer is full, which a live one empties at once.
Result<void> send_message(int channel, const ChannelMessage& message);
// kUnavailable when nothing is there, kReset when the other side is gone.
Result<ChannelMessage> receive_message(int channel);

// Files with their names, in order, in a memfd that can no longer be changed (sealed).
using NamedTexts = std::vector<std::pair<std::string, std::string>>;
Result<io::Descriptor> pack_texts(const NamedTexts& texts);
Result<NamedTexts> unpack_texts(int descriptor);

}  // namespace nines::proxy
