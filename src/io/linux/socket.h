// Sockets as the rest of io/ wants them: non-blocking, close-on-exec, with the options that pay.
// Blocking calls and waiting belong to the loop; these only make and bind.
#pragma once

#include <sys/socket.h>

#include "base/result.h"
#include "base/socket_address.h"
#include "io/linux/descriptor.h"
#include "io/loop.h"

namespace nines::io {

struct KernelAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// kInvalid when a Unix path is too long for the kernel (107 bytes).
Result<KernelAddress> to_kernel(const SocketAddress& address);
SocketAddress from_kernel(const sockaddr_storage& storage, socklen_t size);

// Bound and listening. A Unix path that a dead process left behind is replaced; one that a living
// process listens on is kExists. A TCP address in use is kExists.
Result<Descriptor> open_listener(const SocketAddress& at, const ListenOptions& options);
// Applies what open_listener would have set to a socket that was inherited already listening.
void tune_listener(int descriptor, const SocketAddress& at, const ListenOptions& options);
Result<SocketAddress> local_address(int descriptor);

}  // namespace nines::io
