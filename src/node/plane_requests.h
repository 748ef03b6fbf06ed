// What an operator asks of a plane through its supervisor: each request has a number, and what
// waits for a reply hears of the plane's death, or that it took too long, instead.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "node/plane_channel.h"

namespace nines::node {

// Lives on its supervisor's loop, with one thread; does not own the channel, and has no clock: its
// owner calls expire() at deadline(), which it looks at after each ask() and expire(). What still
// waits when it is destroyed hears nothing: its owner calls fail() before, if whoever asked is
// still there.
class PlaneRequests {
 public:
  static constexpr std::size_t kUnansweredMax = 64;

  // Called once.
  using Answered = std::function<void(const Result<std::string>&)>;
  using Send = std::function<Result<void>(const ChannelMessage&)>;

  // `plane` is its name in messages ("the PLANE died ..."); `send` must stay callable.
  PlaneRequests(std::string plane, Send send) : plane_(std::move(plane)), send_(std::move(send)) {}
  PlaneRequests(const PlaneRequests&) = delete;
  PlaneRequests& operator=(const PlaneRequests&) = delete;

  // `answered` hears kExhausted at once when the plane owes kUnansweredMax replies, those that
  // nobody waits for any more among them, and what send() fails with; kUnavailable when there is
  // no reply at `until`. Without `until` it waits as long as the plane lives.
  void ask(std::string_view request, Answered answered, std::optional<Instant> until = {});
  // To a kReply of the plane. One that comes too late is dropped; kNotFound when it was never
  // asked for, or has come before.
  Result<void> replied(const ChannelMessage& message);
  // The earliest `until` of those that wait.
  std::optional<Instant> deadline() const;
  // Those whose `until` is not after `now` hear kUnavailable.
  void expire(Instant now);
  // The plane died: all that wait hear kUnavailable.
  void fail();

 private:
  struct Waiting {
    Answered answered;  // empty: it was told that it took too long
    std::optional<Instant> until;
  };

  std::string plane_;
  Send send_;
  std::map<std::uint64_t, Waiting> waiting_;  // by number
  std::uint64_t last_ = 0;
};

// The plane's side. A kRequest's text, taken apart.
struct PlaneRequest {
  std::string_view number, text;  // views into the message
};
// kInvalid: no number and blank in front.
Result<PlaneRequest> parse_plane_request(std::string_view message);
// The message that answers it.
Result<ChannelMessage> make_plane_reply(std::string_view number, std::string reply);

}  // namespace nines::node
