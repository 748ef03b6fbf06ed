// A balancer that stands still must not stop the looking: an answer that does not come is given up.
#include "lab/balancer_looker.h"

#include <array>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace nines::lab {
namespace {

constexpr std::size_t kReplyMax = 4u << 20;  // bytes

}  // namespace

BalancerLooker::BalancerLooker(io::Loop& loop, std::vector<std::string> sockets, Choose choose,
                               Seen seen)
    : loop_(loop), choose_(std::move(choose)), seen_(std::move(seen)) {
  for (auto& path : sockets) sockets_.push_back(SocketAddress::unix_path(std::move(path)));
  loop_.arm(*this, kInterval);
}

void BalancerLooker::on_connected(io::Stream& stream) { stream.send(kBalancerQuestion); }

void BalancerLooker::on_data(io::Stream&, io::LentBytes bytes) {
  reply_.append(bytes.view());
  if (reply_.size() > kReplyMax) drop();
}

void BalancerLooker::on_end(io::Stream&) {
  drop();
  const BalancerView view = parse_balancer_view(reply_);
  if (!view.servers.empty()) seen_(asked_, view, loop_.now());
}

void BalancerLooker::on_timer(Instant now) {
  loop_.arm(*this, kInterval);
  if (stream_ != nullptr && now < asked_at_ + kPatience) return;
  drop();
  reply_.clear();
  asked_ = choose_();
  asked_at_ = now;
  stream_ = &loop_.connect(sockets_[asked_], {}, *this);
}

void BalancerLooker::drop() {
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->close();
}

LineTail::LineTail(const std::string& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (file_) ::lseek(file_.get(), 0, SEEK_END);
}

void LineTail::read(const std::function<void(std::string_view)>& visit) {
  std::array<char, 65536> buffer;
  ssize_t size = 0;
  while (file_ && (size = ::read(file_.get(), buffer.data(), buffer.size())) > 0) {
    pending_.append(buffer.data(), static_cast<std::size_t>(size));
  }
  std::size_t begin = 0;
  std::size_t end = 0;
  while ((end = pending_.find('\n', begin)) != std::string::npos) {
    visit(std::string_view(pending_).substr(begin, end - begin));
    begin = end + 1;
  }
  pending_.erase(0, begin);
}

void LogTail::read(const std::function<void(const LogLine&)>& visit) {
  lines_.read([&](std::string_view text) {
    if (const auto line = parse_log_line(text)) visit(*line);
  });
}

}  // namespace nines::lab
