// One datagram a line and target. Sockets are made when first needed, one for each family.
#include "proxy/log_sender.h"

#include <algorithm>

#include "io/log.h"

namespace nines::proxy {

LogSender::LogSender(io::Loop& loop, int pid, Counter& dropped)
    : loop_(loop),
      pid_(pid),
      dropped_(dropped),
      dates_(io::local_utc_offset),
      timestamp_(io::local_utc_offset) {}

LogSender::~LogSender() {
  for (io::Datagram* socket : {ipv4_, ipv6_, unix_}) {
    if (socket != nullptr) socket->close();
  }
}

void LogSender::send(const std::vector<LogTarget>& targets, LogLevel level,
                     std::string_view hostname, std::string_view tag, std::string_view line) {
  for (const LogTarget& target : targets) {
    if (level > target.max_level) continue;
    const LogLevel lowered = std::max(level, target.min_level);
    text_ = '<';
    text_ += std::to_string(target.facility * 8u + static_cast<unsigned>(lowered));
    text_ += '>';
    text_ += timestamp_.at(loop_.wall_time());
    text_ += ' ';
    if (!hostname.empty()) {
      text_ += hostname;
      text_ += ' ';
    }
    text_ += tag;
    text_ += '[';
    text_ += std::to_string(pid_);
    text_ += "]: ";
    text_ += line;
    // The limit covers the header and not the line feed that ends the datagram, as HAProxy has it.
    if (text_.size() > target.line_length_max) text_.resize(target.line_length_max);
    text_ += '\n';
    io::Datagram* const socket = socket_for(target.address.family());
    if (socket == nullptr || !socket->send_to(target.address, text_)) dropped_.add();
  }
}

io::Datagram* LogSender::socket_for(SocketAddress::Family family) {
  const auto open = [this](io::Datagram*& socket, const SocketAddress& local) {
    if (socket == nullptr) {
      if (auto opened = loop_.open_datagram(local, *this)) socket = *opened;
    }
    return socket;
  };
  switch (family) {
    case SocketAddress::Family::kIpv4:
      return open(ipv4_, SocketAddress::ipv4({}, 0));
    case SocketAddress::Family::kIpv6:
      return open(ipv6_, SocketAddress::ipv6({}, 0));
    case SocketAddress::Family::kUnix:
      return open(unix_, SocketAddress::unix_path(""));
    case SocketAddress::Family::kNone:
      break;
  }
  return nullptr;
}

}  // namespace nines::proxy
