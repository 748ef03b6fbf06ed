// Who accepts asks to be told of the session's states; who is told takes it out of the map.
#include "address/session_program.h"

#include <cstddef>

#include <netinet/in.h>

#include "address/bpf_code.h"

namespace nines::address {
namespace {

using namespace bpf;  // NOLINT: a program is read by its instructions

constexpr int kWord = sizeof(std::uint32_t);

// Places in the frame: the session, and a 0 that serves as a key and as a value of no meaning.
constexpr int kSession = -static_cast<int>(sizeof(WatchedSession));
constexpr int kLocal = kSession + static_cast<int>(offsetof(WatchedSession, local));
constexpr int kPeer = kSession + static_cast<int>(offsetof(WatchedSession, peer));
constexpr int kNumber = kSession - 8;

void write_address(Code& w, int place, std::size_t ipv4, std::size_t ipv6) {
  const Code::Label is_ipv6 = w.label(), done = w.label();
  w.load(r2, r6, offsetof(bpf_sock_ops, family));
  w.jump_if_equal(r2, AF_INET6, is_ipv6);
  w.store(kFrame, place, 0);
  w.store(kFrame, place + kWord, 0);
  w.store(kFrame, place + 2 * kWord, static_cast<std::int32_t>(htonl(kMappedWord)));
  w.load(r2, r6, ipv4);
  w.store(kFrame, place + 3 * kWord, r2);
  w.jump(done);
  w.place(is_ipv6);
  for (int word = 0; word < 4; ++word) {
    w.load(r2, r6, ipv6 + static_cast<std::size_t>(word * kWord));
    w.store(kFrame, place + word * kWord, r2);
  }
  w.place(done);
}

void write_session(Code& w) {
  write_address(w, kLocal, offsetof(bpf_sock_ops, local_ip4), offsetof(bpf_sock_ops, local_ip6));
  write_address(w, kPeer, offsetof(bpf_sock_ops, remote_ip4), offsetof(bpf_sock_ops, remote_ip6));
  w.load(r2, r6, offsetof(bpf_sock_ops, local_port));
  w.store(kFrame, kSession + static_cast<int>(offsetof(WatchedSession, local_port)), r2);
  w.load(r2, r6, offsetof(bpf_sock_ops, remote_port));
  w.store(kFrame, kSession + static_cast<int>(offsetof(WatchedSession, peer_port)), r2);
}

void point_to(Code& w, Register to, int place) {
  w.copy(to, kFrame);
  w.plus(to, place);
}

}  // namespace

std::vector<bpf_insn> session_program(std::uint64_t network, const SessionMaps& maps) {
  Code w;
  const Code::Label accepted = w.label(), state = w.label(), end = w.label();
  w.copy(r6, r1);
  w.load(r7, r6, offsetof(bpf_sock_ops, op));
  const Code::Label ours = w.label();
  w.jump_if_equal(r7, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, ours);
  w.jump_if_not(r7, BPF_SOCK_OPS_STATE_CB, end);
  w.place(ours);
  w.call(BPF_FUNC_get_netns_cookie);
  w.set_long(r1, network);
  w.jump_if_differ(r0, r1, end);
  w.jump_if_equal(r7, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, accepted);
  w.jump(state);

  w.place(accepted);
  write_session(w);
  w.set_map(r1, maps.addresses);
  point_to(w, r2, kLocal);
  w.call(BPF_FUNC_map_lookup_elem);
  w.jump_if_equal(r0, 0, end);
  w.store(kFrame, kNumber, 0);
  w.set_map(r1, maps.sessions);
  point_to(w, r2, kSession);
  point_to(w, r3, kNumber);
  w.set(r4, BPF_ANY);
  w.call(BPF_FUNC_map_update_elem);
  w.set_map(r1, maps.accepted);
  point_to(w, r2, kNumber);
  w.call(BPF_FUNC_map_lookup_elem);
  w.jump_if_equal(r0, 0, end);
  w.set(r1, 1);
  w.add_long_at_once(r0, r1);
  w.copy(r1, r6);
  w.load(r2, r6, offsetof(bpf_sock_ops, bpf_sock_ops_cb_flags));
  w.with_bits(r2, BPF_SOCK_OPS_STATE_CB_FLAG);
  w.call(BPF_FUNC_sock_ops_cb_flags_set);
  w.jump(end);

  // What is waited for in these states is said in session_table.cc.
  w.place(state);
  w.load(r2, r6, offsetof(bpf_sock_ops, args) + kWord);
  for (const int waited_for : {BPF_TCP_ESTABLISHED, BPF_TCP_CLOSE_WAIT, BPF_TCP_FIN_WAIT1}) {
    w.jump_if_equal(r2, waited_for, end);
  }
  write_session(w);
  w.set_map(r1, maps.sessions);
  point_to(w, r2, kSession);
  w.call(BPF_FUNC_map_delete_elem);
  w.place(end);
  return w.end_with(1);
}

}  // namespace nines::address
