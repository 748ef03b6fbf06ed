// A BPF program as it is written, instruction by instruction: what little of it is needed here is
// less than a compiler and a loader for it. Pure. Kernel: Documentation/bpf/standardization.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <linux/bpf.h>

namespace nines::address::bpf {

// Arguments in r1 to r5, answers in r0; r6 to r9 outlive a call.
enum Register : std::uint8_t { r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, kFrame };

class Code {
 public:
  using Label = std::size_t;

  void copy(Register to, Register from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from); }
  void set(Register to, std::int32_t value) { add(BPF_ALU64 | BPF_MOV | BPF_K, to, r0, 0, value); }
  void set_long(Register to, std::uint64_t value) { long_constant(to, 0, value); }
  void set_map(Register to, int map) {
    long_constant(to, BPF_PSEUDO_MAP_FD, static_cast<std::uint32_t>(map));
  }
  // The address of a byte of the only value of an array.
  void set_value(Register to, int map, std::uint32_t offset) {
    long_constant(to, BPF_PSEUDO_MAP_VALUE,
                  std::uint64_t{offset} << 32 | static_cast<std::uint32_t>(map));
  }
  void plus(Register to, std::int32_t value) { add(BPF_ALU64 | BPF_ADD | BPF_K, to, r0, 0, value); }
  void plus(Register to, Register other) { add(BPF_ALU64 | BPF_ADD | BPF_X, to, other); }
  void with_bits(Register to, std::int32_t bits) {
    add(BPF_ALU64 | BPF_OR | BPF_K, to, r0, 0, bits);
  }
  void shift_left(Register to, int bits) { add(BPF_ALU64 | BPF_LSH | BPF_K, to, r0, 0, bits); }
  void remainder(Register to, Register divisor) { add(BPF_ALU | BPF_MOD | BPF_X, to, divisor); }

  // 32 bits, or 64 where it says long. Offsets in bytes.
  void load(Register to, Register from, std::size_t offset) {
    add(BPF_LDX | BPF_MEM | BPF_W, to, from, static_cast<std::int16_t>(offset));
  }
  void load_long(Register to, Register from, std::size_t offset) {
    add(BPF_LDX | BPF_MEM | BPF_DW, to, from, static_cast<std::int16_t>(offset));
  }
  void store(Register to, int offset, Register value) {
    add(BPF_STX | BPF_MEM | BPF_W, to, value, static_cast<std::int16_t>(offset));
  }
  void store(Register to, int offset, std::int32_t value) {
    add(BPF_ST | BPF_MEM | BPF_W, to, r0, static_cast<std::int16_t>(offset), value);
  }
  void add_long_at_once(Register to, Register value) {  // atomically
    add(BPF_STX | BPF_ATOMIC | BPF_DW, to, value, 0, BPF_ADD);
  }

  void call(int function) { add(BPF_JMP | BPF_CALL, r0, r0, 0, function); }

  // Forward only: every label is placed after the jumps to it.
  Label label() {
    labels_.emplace_back();
    return labels_.size() - 1;
  }
  void place(Label label);
  void jump(Label to) { jump_if(BPF_JA, to, r0); }
  void jump_if_equal(Register a, std::int32_t value, Label to) {
    jump_if(BPF_JEQ | BPF_K, to, a, r0, value);
  }
  void jump_if_not(Register a, std::int32_t value, Label to) {
    jump_if(BPF_JNE | BPF_K, to, a, r0, value);
  }
  void jump_if_differ(Register a, Register b, Label to) { jump_if(BPF_JNE | BPF_X, to, a, b); }
  void jump_if_at_least(Register a, Register b, Label to) { jump_if(BPF_JGE | BPF_X, to, a, b); }
  void jump_if_above(Register a, std::int32_t value, Label to) {
    jump_if(BPF_JGT | BPF_K, to, a, r0, value);
  }

  void leave_with(std::int32_t answer);
  std::vector<bpf_insn> end_with(std::int32_t answer);

 private:
  void add(int code, Register to, Register from, std::int16_t offset = 0, std::int32_t value = 0);
  void long_constant(Register to, std::uint8_t kind, std::uint64_t value);
  void jump_if(int condition, Label to, Register a, Register b = r0, std::int32_t value = 0);

  std::vector<bpf_insn> code_;
  std::vector<std::vector<std::size_t>> labels_;  // the jumps that wait for each
};

}  // namespace nines::address::bpf
