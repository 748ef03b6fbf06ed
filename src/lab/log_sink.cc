// One datagram, one line, one write(2): a reader never sees half a line.
#include "lab/log_sink.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <string>

#include <unistd.h>

#include "base/check.h"
#include "io/linux/epoll_loop.h"

namespace nines::lab {
namespace {

class Sink final : public io::DatagramHandler {
 public:
  Sink(io::Loop& loop, const std::vector<LogFile>& files) : loop_(loop), files_(files) {}

  void on_datagram(const SocketAddress& from, std::string_view bytes) override {
    const std::string line = format_log_line(loop_.wall_time(), loop_.now(), bytes);
    // A full disk loses log lines and nothing else.
    static_cast<void>(!::write(file_of(from), line.data(), line.size()));
  }

 private:
  int file_of(const SocketAddress& from) const {
    for (const auto& file : files_) {
      if (file.source.with_port(0) == from.with_port(0)) return file.descriptor;
    }
    return files_.front().descriptor;
  }

  io::Loop& loop_;
  const std::vector<LogFile>& files_;
};

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

std::string format_log_line(WallTime wall, Instant at, std::string_view line) {
  const std::time_t seconds = wall.seconds();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 96> stamp;
  const int size = std::snprintf(
      stamp.data(), stamp.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ %lld.%09lld ",
      parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
      parts.tm_sec, static_cast<int>(wall.nanoseconds_since_epoch % kNanosecondsPerSecond / 1000),
      static_cast<long long>(at.nanoseconds / kNanosecondsPerSecond),
      static_cast<long long>(at.nanoseconds % kNanosecondsPerSecond));
  std::string result(stamp.data(), static_cast<std::size_t>(size));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\0')) line.remove_suffix(1);
  for (const char each : line) {
    result += static_cast<unsigned char>(each) < 0x20 || each == 0x7f ? '?' : each;
  }
  result += '\n';
  return result;
}

std::optional<LogLine> parse_log_line(std::string_view line) {
  const auto first = line.find(' ');
  if (first == std::string_view::npos) return std::nullopt;
  const auto dot = line.find('.', first + 1);
  const auto second = line.find(' ', first + 1);
  if (dot == std::string_view::npos || second == std::string_view::npos || dot > second) {
    return std::nullopt;
  }
  std::int64_t seconds = 0;
  std::int64_t fraction = 0;
  const auto whole = std::from_chars(line.data() + first + 1, line.data() + dot, seconds);
  const auto part = std::from_chars(line.data() + dot + 1, line.data() + second, fraction);
  if (whole.ec != std::errc{} || whole.ptr != line.data() + dot || part.ec != std::errc{} ||
      part.ptr != line.data() + second || second - dot != 10 || seconds < 0 || fraction < 0 ||
      seconds >= INT64_MAX / kNanosecondsPerSecond) {
    return std::nullopt;
  }
  return LogLine{Instant{seconds * kNanosecondsPerSecond + fraction}, line.substr(second + 1)};
}

int run_log_sink(const SocketAddress& at, const std::vector<LogFile>& files, ReadySignal ready) {
  CHECK(!files.empty());
  auto loop = io::EpollLoop::create();
  if (!loop.has_value()) return std::fprintf(stderr, "%s\n", loop.error().message().c_str()), 1;
  Sink sink(**loop, files);
  auto socket = (*loop)->open_datagram(at, sink);
  if (!socket.has_value()) {
    return std::fprintf(stderr, "log: %s\n", socket.error().message().c_str()), 1;
  }
  ready.ready();
  (*loop)->run();
  return 0;
}

}  // namespace nines::lab
