// Sends a worker's log lines to the targets of its proxies. One per thread; never waits: a line
// that the socket does not take is dropped and counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/log_format.h"
#include "io/loop.h"
#include "proxy/proxy_config.h"
#include "proxy/runtime.h"
#include "proxy/session_log.h"

namespace nines::proxy {

class LogSender : private io::DatagramHandler {
 public:
  // `dropped` counts lines that could not be sent; it outlives this.
  LogSender(io::Loop& loop, int pid, Counter& dropped);
  ~LogSender() override;

  // `hostname` is written only when "log-send-hostname" asks for it.
  void send(const std::vector<LogTarget>& targets, LogLevel level, std::string_view hostname,
            std::string_view tag, std::string_view line);
  DateText& dates() { return dates_; }

 private:
  void on_datagram(const SocketAddress&, std::string_view) override {}  // nobody answers a log
  io::Datagram* socket_for(SocketAddress::Family family);

  io::Loop& loop_;
  int pid_;
  Counter& dropped_;
  DateText dates_;
  io::SyslogTimestamp timestamp_;
  std::string text_;
  io::Datagram* ipv4_ = nullptr;
  io::Datagram* ipv6_ = nullptr;
  io::Datagram* unix_ = nullptr;
};

}  // namespace nines::proxy
