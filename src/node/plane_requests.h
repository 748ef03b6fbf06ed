// What an operator asks of a plane through its supervisor: each request has a number, and what
// waits for a reply hears of the plane's death instead.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "node/plane_channel.h"

namespace nines::node {

// Lives on its supervisor's loop, with one thread; does not own the channel. What still waits when
// it is destroyed hears nothing: its owner calls fail() before, if whoever asked is still there.
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

  // `answered` hears kExhausted at once when kUnansweredMax wait, and what send() fails with.
  void ask(std::string_view request, Answered answered);
  // To a kReply of the plane. kNotFound when nobody waits for it.
  Result<void> replied(const ChannelMessage& message);
  // The plane died: all that wait hear kUnavailable.
  void fail();

 private:
  std::string plane_;
  Send send_;
  std::map<std::uint64_t, Answered> waiting_;  // by number
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
