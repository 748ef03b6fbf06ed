// The wire between the supervisor and its planes: a seqpacket socket pair each. Small messages,
// each a kind, a text and at most one descriptor. Either side learns of the other's death by the
// end of the stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/linux/descriptor.h"

namespace nines::node {

struct ChannelMessage {
  enum class Kind : std::uint8_t {
    // To any plane, and its answers.
    kAsk = 'a',      // are you there?
    kAnswer = 'A',   // yes, with all my threads
    kTaken = 'T',    // what was configured is at work
    kRefused = 'R',  // text says why; what ran before runs on
    // To the proxy plane.
    kListener = 'L',     // text is the listener's key, with its socket
    kCredentials = 'K',  // a memfd with the files of passwords that the next kConfigure names
    kConfigure = 'C',    // a memfd with the configuration's files; ends the listeners
    kBadReload = 'B',    // a reload failed before it got that far, text: why
    kDrain = 'd',        // end each client's connection after its answer; accept as before
    kEndDrain = 'e',     // what was there at kDrain and is still there ends now
    kStopSoftly = 'S',   // accept nothing more, end with the last session
    // From the owner plane, and on to the proxy plane.
    kShare = 'w',  // what a controller's servers get (host_share.h)
    // From the manager plane, and on to the proxy plane.
    kMember = 'm',  // what it heard from a member of the database (member_word.h)
    // From the manager plane, which has not the rights, and the answer.
    kRecover = 'x',    // bring the database back; text: why
    kRecovered = 'X',  // that has ended; text: its exit code, a blank and its last words
    // From the proxy plane.
    kDrained = 'D',  // all that was under way at kDrain has ended
    kVerdict = 'v',  // text: who answers a server's galera-check (proxy/health_driver.h)
    // To the owner plane.
    kProxyFit = 'f',    // the proxy serves
    kProxyUnfit = 'u',  // it does not: stand for nothing
    kReload = 'r',      // read the configuration again: kTaken or kRefused
    kRelease = 'q',     // hand all addresses over and end
    kRequest = 'Q',     // an operator's: text is its number, a blank and the request
    // From the owner plane.
    kHoldings = 'H',    // text: what it is and holds (vrrp/owner_report.h)
    kReply = 'Y',       // text: the request's number; a memfd with one text, the reply
    kScheduling = 'P',  // text: the precedence that the kernel gave it
  };
  Kind kind = Kind::kTaken;
  std::string text;
  io::Descriptor descriptor;
};

inline constexpr std::size_t kChannelTextMax = 8192;  // bytes of a message's text

// Blocking only while the other side's buffer is full, which a live one empties at once; then for
// as long as the socket's SO_SNDTIMEO says, and kUnavailable.
Result<void> send_message(int channel, const ChannelMessage& message);
// kUnavailable when nothing is there, kReset when the other side is gone.
Result<ChannelMessage> receive_message(int channel);

// Files with their names, in order, in a memfd that can no longer be changed (sealed).
using NamedTexts = std::vector<std::pair<std::string, std::string>>;
Result<io::Descriptor> pack_texts(const NamedTexts& texts);
Result<NamedTexts> unpack_texts(int descriptor);

}  // namespace nines::node
