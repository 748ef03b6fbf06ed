// The kernel's nftables by netlink: one transaction out, its acknowledgements in.
#pragma once

#include <cstdint>
#include <vector>

#include "address/nft_batch.h"
#include "base/result.h"
#include "io/linux/descriptor.h"

namespace nines::address {

// A bare netlink socket for netfilter; `flags`: SOCK_* besides. kUnsupported without it.
Result<io::Descriptor> open_netfilter(int flags);

// Belongs to the network namespace of the thread that made it. Tables that it makes with an owner
// go when it is closed, by whatever end of its process. Not thread-safe.
class NftSocket {
 public:
  static Result<NftSocket> open();

  NftBatch begin() const { return NftBatch(sequence_ + 1); }
  // Ends the batch and has the kernel work it off, as a whole or not at all; acknowledged when it
  // returns. A refusal names the message that was refused. About 0.1 ms; longer while somebody else
  // changes nftables.
  Result<void> send(NftBatch& batch, NftBatch::Ending ending);

  // The same for a batch that was sent before, by whatever way that ended.
  Result<void> send_again(NftBatch& batch);

  // By which the kernel says in its events who caused them.
  Result<std::uint32_t> port() const;

 private:
  explicit NftSocket(io::Descriptor netlink);

  Result<void> deliver(const NftBatch& batch);

  io::Descriptor netlink_;
  std::vector<char> answer_;
  std::uint32_t sequence_ = 0;
};

}  // namespace nines::address
