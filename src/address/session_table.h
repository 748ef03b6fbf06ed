// Which TCP sessions this host has on some of its addresses, as its kernel knows them, and a cheap
// sign that there may be new ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "address/session.h"
#include "base/result.h"
#include "io/linux/descriptor.h"

namespace nines::address {

// Belongs to the network namespace of the thread that makes it; one thread at a time.
class SessionTable {
 public:
  struct Found {
    std::vector<Session> sessions;  // in no order of meaning
    std::size_t left_out = 0;       // more than `most`
  };

  static Result<SessionTable> open();

  // Sessions whose own address is one of `addresses` (ports ignored; at most 1000 of them count)
  // and whose peer may still wait for something from here. Synchronous: the kernel walks its whole
  // table, 0.2 to 0.5 ms with 262144 places, and some hundred nanoseconds for each that is found.
  Result<Found> find(std::span<const SocketAddress> addresses, std::size_t most) const;

  // Whether this host has such a session now, in whatever state; some microseconds.
  Result<bool> has(const Session& session) const;

 private:
  explicit SessionTable(io::Descriptor socket) : socket_(std::move(socket)) {}
  io::Descriptor socket_;
};

// Counts what was accepted in this network namespace since it began: while it stands still, no
// session was accepted. Some microseconds for each look.
class AcceptedCounter {
 public:
  static Result<AcceptedCounter> open();
  // Nothing: the kernel did not say.
  std::optional<std::uint64_t> read() const;

 private:
  explicit AcceptedCounter(io::Descriptor file) : file_(std::move(file)) {}
  io::Descriptor file_;
};

// The value in /proc/net/snmp's text; nothing when it is not there.
std::optional<std::uint64_t> accepted_in(std::string_view snmp);

}  // namespace nines::address
