// Eyes on balancers: the runtime socket asked again and again, and a log file that grows.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "io/linux/descriptor.h"
#include "io/loop.h"
#include "lab/balancer_watch.h"
#include "lab/log_sink.h"

namespace nines::lab {

// Asks one balancer at a time, the one that `choose` names, every kInterval. Lives on its loop.
class BalancerLooker final : public io::StreamHandler, private Timer {
 public:
  static constexpr Duration kInterval = 20ms;
  static constexpr Duration kPatience = 500ms;  // for an answer

  // An index of `sockets`.
  using Choose = std::function<std::size_t()>;
  using Seen = std::function<void(std::size_t, const BalancerView&, Instant)>;
  BalancerLooker(io::Loop& loop, std::vector<std::string> sockets, Choose choose, Seen seen);
  ~BalancerLooker() override { drop(); }

  void on_connected(io::Stream& stream) override;
  void on_data(io::Stream&, io::LentBytes bytes) override;
  void on_end(io::Stream&) override;
  void on_failed(io::Stream&, const Error&) override { drop(); }

 private:
  void on_timer(Instant now) override;
  void drop();

  io::Loop& loop_;
  std::vector<SocketAddress> sockets_;
  Choose choose_;
  Seen seen_;
  io::Stream* stream_ = nullptr;
  std::size_t asked_ = 0;
  Instant asked_at_;
  std::string reply_;
};

// New whole lines of a file, from its end at the time of creation on.
class LineTail {
 public:
  explicit LineTail(const std::string& path);
  void read(const std::function<void(std::string_view)>& visit);

 private:
  io::Descriptor file_;
  std::string pending_;
};

// The same of a log sink's file, whose lines have an instant.
class LogTail {
 public:
  explicit LogTail(const std::string& path) : lines_(path) {}
  void read(const std::function<void(const LogLine&)>& visit);

 private:
  LineTail lines_;
};

}  // namespace nines::lab
