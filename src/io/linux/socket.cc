// Socket options, each with the reason it is set.
#include "io/linux/socket.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace nines::io {

void Descriptor::reset() {
  if (number_ >= 0) ::close(std::exchange(number_, -1));
}

Result<KernelAddress> to_kernel(const SocketAddress& address) {
  KernelAddress kernel;
  switch (address.family()) {
    case SocketAddress::Family::kIpv4: {
      auto& in = reinterpret_cast<sockaddr_in&>(kernel.storage);
      in.sin_family = AF_INET;
      in.sin_port = htons(address.port());
      std::memcpy(&in.sin_addr, address.ip_bytes().data(), 4);
      kernel.size = sizeof in;
      return kernel;
    }
    case SocketAddress::Family::kIpv6: {
      auto& in = reinterpret_cast<sockaddr_in6&>(kernel.storage);
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(address.port());
      std::memcpy(&in.sin6_addr, address.ip_bytes().data(), 16);
      kernel.size = sizeof in;
      return kernel;
    }
    case SocketAddress::Family::kUnix: {
      auto& un = reinterpret_cast<sockaddr_un&>(kernel.storage);
      un.sun_family = AF_UNIX;
      if (address.path().empty() || address.path().size() >= sizeof un.sun_path) {
        return Error(ErrorCode::kInvalid, "the path of a Unix socket has 1 to " +
                                              std::to_string(sizeof un.sun_path - 1) + " bytes: '" +
                                              address.path() + "'");
      }
      std::memcpy(un.sun_path, address.path().data(), address.path().size());
      kernel.size =
          static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path().size() + 1);
      return kernel;
    }
    case SocketAddress::Family::kNone:
      break;
  }
  return Error(ErrorCode::kInvalid, "no address");
}

SocketAddress from_kernel(const sockaddr_storage& storage, socklen_t size) {
  if (storage.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &in.sin_addr, 4);
    return SocketAddress::ipv4(bytes, ntohs(in.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(storage);
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &in.sin6_addr, 16);
    return SocketAddress::ipv6(bytes, ntohs(in.sin6_port));
  }
  if (storage.ss_family == AF_UNIX) {
    const auto& un = reinterpret_cast<const sockaddr_un&>(storage);
    const auto used = static_cast<std::size_t>(size);
    if (used <= offsetof(sockaddr_un, sun_path)) return SocketAddress::unix_path("");
    const std::size_t longest = used - offsetof(sockaddr_un, sun_path);
    return SocketAddress::unix_path(std::string(un.sun_path, strnlen(un.sun_path, longest)));
  }
  return {};
}

namespace {

void set_option(int descriptor, int level, int option, int value) {
  // Refusals are tolerated: each of these makes things better and none makes them correct.
  static_cast<void>(setsockopt(descriptor, level, option, &value, sizeof value));
}

// A path left behind by a dead process refuses connections; a living one accepts them.
Result<void> clear_stale_path(const KernelAddress& kernel, const std::string& path) {
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return Error::from_errno(errno, "socket");
  if (::connect(probe.get(), kernel.get(), kernel.size) == 0 || errno == EAGAIN) {
    return Error(ErrorCode::kExists, "another process listens on '" + path + "'", EADDRINUSE);
  }
  struct stat status {};
  if (errno == ECONNREFUSED && ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
    ::unlink(path.c_str());
  }
  return {};
}

}  // namespace

void tune_listener(int descriptor, const SocketAddress& at, const ListenOptions& options) {
  if (!at.is_ip()) return;
  // Inherited by accepted sockets: answers leave at once, and their ACKs ride on data (a
  // connection each costs 7 segments in place of 10).
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(descriptor, IPPROTO_TCP, TCP_QUICKACK, 0);
  if (options.defer_accept) set_option(descriptor, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
}

Result<Descriptor> open_listener(const SocketAddress& at, const ListenOptions& options) {
  const KernelAddress kernel = TRY(to_kernel(at));
  Descriptor socket(
      ::socket(kernel.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return Error::from_errno(errno, "socket for " + at.text());
  if (at.is_ip()) {
    set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    // A successor process may bind before its predecessor lets go ("-sf").
    set_option(socket.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (options.free_bind) set_option(socket.get(), IPPROTO_IP, IP_FREEBIND, 1);
    if (at.family() == SocketAddress::Family::kIpv6) {
      set_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
  } else {
    TRY(clear_stale_path(kernel, at.path()));
  }
  if (::bind(socket.get(), kernel.get(), kernel.size) != 0) {
    return Error::from_errno(errno, "cannot bind " + at.text());
  }
  if (at.family() == SocketAddress::Family::kUnix && options.unix_mode != 0 &&
      ::chmod(at.path().c_str(), options.unix_mode) != 0) {
    return Error::from_errno(errno, "cannot set the mode of " + at.path());
  }
  if (::listen(socket.get(), options.backlog > 0 ? options.backlog : SOMAXCONN) != 0) {
    return Error::from_errno(errno, "cannot listen on " + at.text());
  }
  tune_listener(socket.get(), at, options);
  return socket;
}

Result<SocketAddress> local_address(int descriptor) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return Error::from_errno(errno, "getsockname");
  }
  return from_kernel(storage, size);
}

}  // namespace nines::io
