// What is not ours to replace falls through to the end.
#include "address/connect_program.h"

#include <netinet/in.h>

#include "address/bpf_code.h"

namespace nines::address {
namespace {

// The destination's place in the frame.
constexpr std::int16_t kKey = -static_cast<std::int16_t>(sizeof(ConnectDestination)) - 4;

using namespace bpf;  // NOLINT: a program is read by its instructions

}  // namespace

std::vector<bpf_insn> connect_program(bool ipv6, std::uint64_t network, int map) {
  Code w;
  const Code::Label end = w.label();
  w.copy(r6, r1);
  w.load(r2, r6, offsetof(bpf_sock_addr, protocol));
  w.jump_if_not(r2, IPPROTO_TCP, end);
  w.call(BPF_FUNC_get_netns_cookie);
  w.set_long(r1, network);
  w.jump_if_differ(r0, r1, end);

  constexpr int kWord = sizeof(std::uint32_t);
  if (ipv6) {
    for (int word = 0; word < 4; ++word) {
      w.load(r2, r6, offsetof(bpf_sock_addr, user_ip6) + static_cast<std::size_t>(word * kWord));
      w.store(kFrame, kKey + word * kWord, r2);
    }
  } else {
    w.store(kFrame, kKey, 0);
    w.store(kFrame, kKey + kWord, 0);
    w.store(kFrame, kKey + 2 * kWord, static_cast<std::int32_t>(htonl(kMappedWord)));
    w.load(r2, r6, offsetof(bpf_sock_addr, user_ip4));
    w.store(kFrame, kKey + 3 * kWord, r2);
  }
  w.load(r2, r6, offsetof(bpf_sock_addr, user_port));
  w.store(kFrame, kKey + static_cast<int>(offsetof(ConnectDestination, port)), r2);
  w.set_map(r1, map);
  w.copy(r2, kFrame);
  w.plus(r2, kKey);
  w.call(BPF_FUNC_map_lookup_elem);
  w.jump_if_equal(r0, 0, end);

  w.copy(r7, r0);
  w.load_long(r8, r7, offsetof(ConnectChoices, until));
  w.call(BPF_FUNC_ktime_get_boot_ns);
  w.jump_if_at_least(r0, r8, end);
  w.load(r8, r7, offsetof(ConnectChoices, count));
  w.jump_if_equal(r8, 0, end);
  w.call(BPF_FUNC_get_prandom_u32);
  w.remainder(r0, r8);
  w.jump_if_above(r0, kStandInChoices - 1, end);
  static_assert(sizeof(bpf::Address) == 1 << 4);
  w.shift_left(r0, 4);
  w.plus(r7, r0);

  constexpr std::size_t kChosen = offsetof(ConnectChoices, addresses);
  if (ipv6) {
    for (std::size_t word = 0; word < 4; ++word) {
      w.load(r2, r7, kChosen + word * kWord);
      w.store(r6, static_cast<int>(offsetof(bpf_sock_addr, user_ip6) + word * kWord), r2);
    }
  } else {
    w.load(r2, r7, kChosen + 3 * kWord);
    w.store(r6, static_cast<int>(offsetof(bpf_sock_addr, user_ip4)), r2);
  }
  w.place(end);
  return w.end_with(1);  // the call goes on, whatever became of its address
}

}  // namespace nines::address
