// The raw socket that one interface's advertisements of one family come and go by, for all
// instances on it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/socket_address.h"
#include "io/linux/descriptor.h"

namespace nines::vrrp {

// Bound to its interface; hears only what comes in there, and not itself.
class VrrpSocket {
 public:
  // `group`: multicast; its family is the socket's. kNotFound for no such interface.
  static Result<VrrpSocket> open(const std::string& interface, const SocketAddress& group);

  int descriptor() const { return socket_.get(); }
  // A packet from its IP header on, lent until the next call; empty when there is none. What is
  // longer than any advert comes cut and fails to parse.
  std::string_view receive();
  // `message` leaves from `source`, which must be this host's.
  Result<void> send(const SocketAddress& source, const SocketAddress& destination,
                    std::string_view message);

 private:
  VrrpSocket(io::Descriptor socket, int index, SocketAddress::Family family)
      : socket_(std::move(socket)), index_(index), family_(family) {}
  std::string_view receive_ipv6();

  io::Descriptor socket_;
  int index_;
  SocketAddress::Family family_;
  std::string buffer_;
};

}  // namespace nines::vrrp
