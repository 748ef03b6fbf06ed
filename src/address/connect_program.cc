// Written by hand, since it is short, and a compiler for it is more to have than it is.
#include "address/connect_program.h"

#include <netinet/in.h>

namespace nines::address {
namespace {

// Registers: arguments in r1 to r5, answers in r0; r6 to r9 outlive a call.
enum Register : std::uint8_t { r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, kFrame };

constexpr int kMappedPrefix = 0xffff;  // of ::ffff:0:0/96, in its third word

// The destination's place in the frame.
constexpr std::int16_t kKey = -static_cast<std::int16_t>(sizeof(ConnectDestination)) - 4;

class Writer {
 public:
  void copy(Register to, Register from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from); }
  void set(Register to, std::int32_t value) { add(BPF_ALU64 | BPF_MOV | BPF_K, to, r0, 0, value); }
  void set_long(Register to, std::uint64_t value) { long_constant(to, 0, value); }
  void set_map(Register to, int map) {
    long_constant(to, BPF_PSEUDO_MAP_FD, static_cast<std::uint32_t>(map));
  }
  void plus(Register to, std::int32_t value) { add(BPF_ALU64 | BPF_ADD | BPF_K, to, r0, 0, value); }
  void plus(Register to, Register other) { add(BPF_ALU64 | BPF_ADD | BPF_X, to, other); }
  void shift_left(Register to, int bits) { add(BPF_ALU64 | BPF_LSH | BPF_K, to, r0, 0, bits); }
  void remainder(Register to, Register divisor) { add(BPF_ALU | BPF_MOD | BPF_X, to, divisor); }
  void load(Register to, Register from, std::size_t offset) {
    add(BPF_LDX | BPF_MEM | BPF_W, to, from, static_cast<std::int16_t>(offset));
  }
  void load_long(Register to, Register from, std::size_t offset) {
    add(BPF_LDX | BPF_MEM | BPF_DW, to, from, static_cast<std::int16_t>(offset));
  }
  void store(Register to, int offset, Register value) {
    add(BPF_STX | BPF_MEM | BPF_W, to, value, static_cast<std::int16_t>(offset));
  }
  void store_constant(Register to, int offset, std::int32_t value) {
    add(BPF_ST | BPF_MEM | BPF_W, to, r0, static_cast<std::int16_t>(offset), value);
  }
  void call(int function) { add(BPF_JMP | BPF_CALL, r0, r0, 0, function); }
  void end_if_not(Register value, std::int32_t wanted) {
    jump_to_end(BPF_JNE | BPF_K, value, r0, wanted);
  }
  void end_if_differ(Register a, Register b) { jump_to_end(BPF_JNE | BPF_X, a, b); }
  void end_if_zero(Register value) { jump_to_end(BPF_JEQ | BPF_K, value); }
  void end_if_at_least(Register value, Register bound) { jump_to_end(BPF_JGE | BPF_X, value, bound); }
  void end_if_above(Register value, std::int32_t bound) {
    jump_to_end(BPF_JGT | BPF_K, value, r0, bound);
  }
  // Lets the call go on, whatever became of its address.
  std::vector<bpf_insn> end() {
    for (const std::size_t jump : to_end_) {
      code_[jump].off = static_cast<std::int16_t>(code_.size() - jump - 1);
    }
    set(r0, 1);
    add(BPF_JMP | BPF_EXIT, r0, r0);
    return std::move(code_);
  }

 private:
  void add(int code, Register to, Register from, std::int16_t offset = 0, std::int32_t value = 0) {
    bpf_insn instruction{};
    instruction.code = static_cast<std::uint8_t>(code);
    instruction.dst_reg = to & 0xf;
    instruction.src_reg = from & 0xf;
    instruction.off = offset;
    instruction.imm = value;
    code_.push_back(instruction);
  }
  void long_constant(Register to, std::uint8_t kind, std::uint64_t value) {
    add(BPF_LD | BPF_DW | BPF_IMM, to, static_cast<Register>(kind), 0,
        static_cast<std::int32_t>(value & 0xffffffff));
    add(0, r0, r0, 0, static_cast<std::int32_t>(value >> 32));
  }
  void jump_to_end(int condition, Register a, Register b = r0, std::int32_t value = 0) {
    to_end_.push_back(code_.size());
    add(BPF_JMP | condition, a, b, 0, value);
  }

  std::vector<bpf_insn> code_;
  std::vector<std::size_t> to_end_;
};

}  // namespace

std::vector<bpf_insn> connect_program(bool ipv6, std::uint64_t network, int map) {
  Writer w;
  w.copy(r6, r1);
  w.load(r2, r6, offsetof(bpf_sock_addr, protocol));
  w.end_if_not(r2, IPPROTO_TCP);
  w.call(BPF_FUNC_get_netns_cookie);
  w.set_long(r1, network);
  w.end_if_differ(r0, r1);

  constexpr int kWord = sizeof(std::uint32_t);
  if (ipv6) {
    for (int word = 0; word < 4; ++word) {
      w.load(r2, r6, offsetof(bpf_sock_addr, user_ip6) + static_cast<std::size_t>(word * kWord));
      w.store(kFrame, kKey + word * kWord, r2);
    }
  } else {
    w.store_constant(kFrame, kKey, 0);
    w.store_constant(kFrame, kKey + kWord, 0);
    w.store_constant(kFrame, kKey + 2 * kWord, static_cast<std::int32_t>(htonl(kMappedPrefix)));
    w.load(r2, r6, offsetof(bpf_sock_addr, user_ip4));
    w.store(kFrame, kKey + 3 * kWord, r2);
  }
  w.load(r2, r6, offsetof(bpf_sock_addr, user_port));
  w.store(kFrame, kKey + static_cast<int>(offsetof(ConnectDestination, port)), r2);
  w.set_map(r1, map);
  w.copy(r2, kFrame);
  w.plus(r2, kKey);
  w.call(BPF_FUNC_map_lookup_elem);
  w.end_if_zero(r0);

  w.copy(r7, r0);
  w.load_long(r8, r7, offsetof(ConnectChoices, until));
  w.call(BPF_FUNC_ktime_get_boot_ns);
  w.end_if_at_least(r0, r8);
  w.load(r8, r7, offsetof(ConnectChoices, count));
  w.end_if_zero(r8);
  w.call(BPF_FUNC_get_prandom_u32);
  w.remainder(r0, r8);
  w.end_if_above(r0, kStandInChoices - 1);
  static_assert(sizeof(ConnectAddress) == 1 << 4);
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
  return w.end();
}

}  // namespace nines::address
