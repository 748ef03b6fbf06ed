// Nodes as small numbers, and sets of them as bits: a node that answers twice is counted once, by
// construction. Majorities of a set of voters.
#pragma once

#include <bit>
#include <compare>
#include <cstdint>
#include <initializer_list>

namespace nines::cluster {

using NodeId = std::uint8_t;  // 1 to kNodeIdMax; 0 is nobody
inline constexpr NodeId kNodeIdMax = 63;

class NodeSet {
 public:
  constexpr NodeSet() = default;
  constexpr NodeSet(std::initializer_list<NodeId> nodes) {
    for (const NodeId node : nodes) add(node);
  }
  // Bit n is node n. Bit 0 names nobody and is dropped.
  static constexpr NodeSet of_bits(std::uint64_t bits) {
    NodeSet set;
    set.bits_ = bits & ~std::uint64_t{1};
    return set;
  }

  // Numbers that name nobody are passed over.
  constexpr void add(NodeId node) {
    if (node >= 1 && node <= kNodeIdMax) bits_ |= std::uint64_t{1} << node;
  }
  constexpr void remove(NodeId node) {
    if (node <= kNodeIdMax) bits_ &= ~(std::uint64_t{1} << node);
  }
  constexpr bool contains(NodeId node) const {
    return node <= kNodeIdMax && (bits_ >> node & 1) != 0;
  }
  constexpr int size() const { return std::popcount(bits_); }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr std::uint64_t bits() const { return bits_; }

  friend constexpr NodeSet operator|(NodeSet a, NodeSet b) { return of_bits(a.bits_ | b.bits_); }
  friend constexpr NodeSet operator&(NodeSet a, NodeSet b) { return of_bits(a.bits_ & b.bits_); }
  friend constexpr NodeSet operator-(NodeSet a, NodeSet b) { return of_bits(a.bits_ & ~b.bits_); }
  friend constexpr bool operator==(NodeSet, NodeSet) = default;

  // Ascending.
  template <typename Visitor>
  constexpr void for_each(Visitor&& visit) const {
    for (std::uint64_t rest = bits_; rest != 0; rest &= rest - 1) {
      visit(static_cast<NodeId>(std::countr_zero(rest)));
    }
  }

 private:
  std::uint64_t bits_ = 0;
};

// More than half of the voters are among `nodes`. Never true when there are no voters.
constexpr bool is_majority(NodeSet nodes, NodeSet voters) {
  return 2 * (nodes & voters).size() > voters.size();
}

}  // namespace nines::cluster
