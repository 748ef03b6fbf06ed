// The daemon's control socket: one request a connection, a line in, a text out, over a Unix socket
// that only its own user may open.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/loop.h"

namespace nines {

inline constexpr std::size_t kControlRequestMax = 4096;  // bytes of a line
inline constexpr std::size_t kControlReplyMax = 1 << 20;

// Lives on its loop, which outlives it.
class RunControl final : public io::AcceptHandler {
 public:
  // The reply to a request, at once or later on the loop; once. Nobody minds when the connection
  // or this has gone meanwhile.
  using Reply = std::function<void(std::string)>;
  // A line without its line feed, lent for the call.
  using Answer = std::function<void(std::string_view, Reply)>;

  RunControl(io::Loop& loop, Answer answer);
  ~RunControl() override;

  // Makes the folder when it is missing. kExists when another daemon answers there.
  Result<void> listen(const std::string& path);

  void on_accepted(io::Stream& stream) override;
  void on_accept_exhausted(const Error&) override {}

 private:
  class Connection;

  io::Loop& loop_;
  Answer answer_;
  std::string path_;
  io::Acceptor* acceptor_ = nullptr;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::uint64_t last_ = 0;
  // Whether this still lives, for replies under way; shared with them alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// For a command line: blocking. kNotFound when nobody listens at `path`.
Result<std::string> ask_daemon(const std::string& path, std::string_view request);

}  // namespace nines
