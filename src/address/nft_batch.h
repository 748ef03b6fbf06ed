// An nftables transaction as bytes: netlink messages between a begin and an end, which the kernel
// takes all or not at all. Pure: what is written is sent elsewhere (guard.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nines::address {

// Numbers are written in network order where nftables wants them so; lengths are patched when a
// message or a nest ends. Used on one thread.
class NftBatch {
 public:
  enum class Ending {
    kCommit,
    kDryRun,  // without an end the kernel checks everything and takes all of it back
  };

  // `sequence`: of the first message; the others count on from it.
  explicit NftBatch(std::uint32_t sequence);

  // `type`: NFT_MSG_*; `flags`: NLM_F_* besides REQUEST; `family`: NFPROTO_*. `what` names the
  // message for people when the kernel refuses it.
  void begin_message(int type, int flags, std::uint8_t family, std::string what);
  void put(std::uint16_t type, std::string_view bytes);
  void put_text(std::uint16_t type, std::string_view text);  // with its end, as the kernel wants it
  void put_u32(std::uint16_t type, std::uint32_t value);
  // Where the value stands in bytes(), for replace_u64().
  std::size_t put_u64(std::uint16_t type, std::uint64_t value);
  void begin_nest(std::uint16_t type);
  void end_nest();

  // The last message asks for the acknowledgement. Nothing may be written afterwards.
  void finish(Ending ending);

  // Once it is finished, to be sent again: other values where put_u64() wrote them, and numbers
  // that count on from `sequence`.
  void replace_u64(std::size_t at, std::uint64_t value);
  void renumber(std::uint32_t sequence);

  std::string_view bytes() const { return bytes_; }
  std::uint32_t first_sequence() const { return first_; }
  std::uint32_t last_sequence() const;  // of the message that is acknowledged
  std::uint32_t next_sequence() const { return sequence_; }
  // Empty for a number that is none of its messages.
  std::string_view what(std::uint32_t sequence) const;

 private:
  void begin_header(std::uint16_t type, std::uint16_t flags, std::uint8_t family,
                    std::uint16_t resource);
  void end_message();
  template <typename T>
  void append(T value);
  template <typename T>
  void patch(std::size_t at, T value);

  std::string bytes_;
  std::vector<std::string> what_;  // by sequence number; the begin is the first
  std::vector<std::size_t> nests_;
  std::size_t message_ = 0;  // where the open or the last message starts
  std::uint32_t first_;
  std::uint32_t sequence_;
  bool finished_ = false;
};

}  // namespace nines::address
