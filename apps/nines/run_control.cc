// Connections are few and short; whoever says nothing is dropped with the daemon.
#include "run_control.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/linux/descriptor.h"

namespace nines {

namespace {

constexpr unsigned kSocketMode = 0600;
constexpr mode_t kFolderMode = 0755;
constexpr std::size_t kConnectionsMax = 64;
constexpr time_t kPatienceSeconds = 2;  // of the command line

}  // namespace

class RunControl::Connection final : public io::StreamHandler {
 public:
  Connection(RunControl& control, io::Stream& stream, std::uint64_t id)
      : control_(control), stream_(stream), id_(id) {
    stream_.set_handler(this);
  }
  ~Connection() override { stream_.close(); }

  void on_data(io::Stream&, io::LentBytes bytes) override {
    if (answered_) return;
    line_.append(bytes.view());
    const auto end = line_.find('\n');
    if (end == std::string::npos && line_.size() < kControlRequestMax) return;
    answered_ = true;
    control_.answer_(std::string_view(line_).substr(0, end),
                     [&control = control_, id = id_, alive = control_.alive_](std::string reply) {
                       if (!*alive) return;
                       const auto found = control.connections_.find(id);
                       if (found != control.connections_.end()) found->second->reply(reply);
                     });
  }
  void on_end(io::Stream&) override { control_.connections_.erase(id_); }
  void on_failed(io::Stream&, const Error&) override { control_.connections_.erase(id_); }

  void reply(const std::string& text) {
    stream_.send(text);
    stream_.finish();
  }

 private:
  RunControl& control_;
  io::Stream& stream_;
  std::uint64_t id_;
  std::string line_;
  bool answered_ = false;
};

RunControl::RunControl(io::Loop& loop, Answer answer) : loop_(loop), answer_(std::move(answer)) {}

RunControl::~RunControl() {
  *alive_ = false;
  connections_.clear();
  if (acceptor_ == nullptr) return;
  acceptor_->close();
  ::unlink(path_.c_str());
}

Result<void> RunControl::listen(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/'));
  if (::mkdir(folder.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return Error::from_errno(errno, "cannot make " + folder);
  }
  if (ask_daemon(path, "").has_value()) {
    return Error(ErrorCode::kExists, "another daemon runs already: it answers at " + path);
  }
  io::ListenOptions options;
  options.unix_mode = kSocketMode;
  acceptor_ = TRY(loop_.listen(SocketAddress::unix_path(path), options, *this));
  path_ = path;
  return {};
}

void RunControl::on_accepted(io::Stream& stream) {
  if (connections_.size() >= kConnectionsMax) connections_.erase(connections_.begin());
  const std::uint64_t id = ++last_;
  connections_.emplace(id, std::make_unique<Connection>(*this, stream, id));
}

Result<std::string> ask_daemon(const std::string& path, std::string_view request) {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  if (path.size() >= sizeof at.sun_path) {
    return Error(ErrorCode::kInvalid, "the path of a socket is too long: " + path);
  }
  std::memcpy(at.sun_path, path.data(), path.size());
  const io::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return Error::from_errno(errno, "socket");
  const timeval patience{.tv_sec = kPatienceSeconds, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ECONNREFUSED) {
      return Error(ErrorCode::kNotFound, "no daemon answers at " + path);
    }
    return Error::from_errno(error, path);
  }
  const std::string line = std::string(request) + '\n';
  if (::send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) {
    return Error::from_errno(errno, path);
  }
  std::string reply;
  char buffer[16384];
  while (reply.size() < kControlReplyMax) {
    const ssize_t size = ::recv(socket.get(), buffer, sizeof buffer, 0);
    if (size < 0) return Error::from_errno(errno, path);
    if (size == 0) return reply;
    reply.append(buffer, static_cast<std::size_t>(size));
  }
  return Error(ErrorCode::kExhausted, "the daemon's reply is too long");
}

}  // namespace nines
