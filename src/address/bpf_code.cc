// Jumps count from the instruction after them.
#include "address/bpf_code.h"

#include <utility>

namespace nines::address::bpf {

void Code::place(Label label) {
  for (const std::size_t jump : std::exchange(labels_[label], {})) {
    code_[jump].off = static_cast<std::int16_t>(code_.size() - jump - 1);
  }
}

void Code::leave_with(std::int32_t answer) {
  set(r0, answer);
  add(BPF_JMP | BPF_EXIT, r0, r0);
}

std::vector<bpf_insn> Code::end_with(std::int32_t answer) {
  leave_with(answer);
  return std::move(code_);
}

void Code::add(int code, Register to, Register from, std::int16_t offset, std::int32_t value) {
  bpf_insn instruction{};
  instruction.code = static_cast<std::uint8_t>(code);
  instruction.dst_reg = to & 0xf;
  instruction.src_reg = from & 0xf;
  instruction.off = offset;
  instruction.imm = value;
  code_.push_back(instruction);
}

// Of two instructions' places.
void Code::long_constant(Register to, std::uint8_t kind, std::uint64_t value) {
  add(BPF_LD | BPF_DW | BPF_IMM, to, static_cast<Register>(kind), 0,
      static_cast<std::int32_t>(value & 0xffffffff));
  add(0, r0, r0, 0, static_cast<std::int32_t>(value >> 32));
}

void Code::jump_if(int condition, Label to, Register a, Register b, std::int32_t value) {
  labels_[to].push_back(code_.size());
  add(BPF_JMP | condition, a, b, 0, value);
}

}  // namespace nines::address::bpf
