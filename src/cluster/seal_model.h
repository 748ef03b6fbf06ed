// Three nodes that restart, and somebody who records all they say and delivers it when, where and
// how often he likes, altered or not: as a script of bytes decides. What sealing promises is
// checked at each step, and in the end everybody must hear everybody. Tests and the fuzzer only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "cluster/seal.h"

namespace nines::cluster {

inline ClusterKeys keys_of(std::initializer_list<std::uint8_t> seeds) {
  ClusterKeys keys;
  for (const std::uint8_t seed : seeds) {
    Secret::Bytes bytes;
    bytes.fill(seed);
    auto key = make_key(Secret(bytes));
    CHECK(key.has_value());
    keys.push_back(*key);
  }
  return keys;
}

inline Incarnation incarnation_of(NodeId node, int life) {
  Incarnation incarnation{};
  incarnation[0] = node;
  incarnation[1] = static_cast<std::uint8_t>(life);
  incarnation[2] = static_cast<std::uint8_t>(life >> 8);
  incarnation[15] = 1;
  return incarnation;
}

inline Sealer sealer_of(NodeId self, int life, ClusterKeys keys = keys_of({1}),
                        NodeSet peers = {1, 2, 3}) {
  auto made = Sealer::create(std::move(keys), self, peers, incarnation_of(self, life));
  CHECK(made.has_value());
  return *std::move(made);
}

class SealModel {
 public:
  static constexpr NodeId kNodes = 3;
  static constexpr std::size_t kStepsMax = 400;
  static constexpr std::size_t kRecordedMax = 300;

  SealModel() {
    for (NodeId node = 1; node <= kNodes; ++node) nodes_.push_back(Node{sealer_of(node, 1)});
  }

  void run(std::string_view script) {
    script_ = script;
    for (std::size_t step = 0; step < kStepsMax && !script_.empty(); ++step) {
      const NodeId from = any_node(), to = other_than(from);
      switch (next() % 9) {
        case 0:
        case 1:
          send(from, to);
          break;
        case 2:
          record(from, to, node(from).sealer.hello(to));
          break;
        case 3:
        case 4:
          deliver_next();
          break;
        case 5:
        case 6:
          if (const Recorded* const one = any_recorded()) deliver(one->to, one->bytes);
          break;
        case 7:
          tamper(to);
          break;
        case 8:
          if (next() % 4 == 0) restart(from);
          break;
      }
    }
    heal();
  }
  std::uint64_t heard() const { return heard_; }
  std::uint64_t restarts() const { return restarts_; }

 private:
  struct Node {
    Sealer sealer;
    int life = 1;
    std::set<std::uint64_t> heard{};         // messages, by this life
    std::array<int, kNodes + 1> believed{};  // lives of the others, by this life
  };
  struct Sent {
    NodeId from, to;
    int life, to_life;
  };
  struct Recorded {
    NodeId from, to;
    std::string bytes;
  };

  Node& node(NodeId id) { return nodes_[id - 1u]; }
  std::uint8_t next() {
    if (script_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(script_.front());
    script_.remove_prefix(1);
    return byte;
  }
  NodeId any_node() { return static_cast<NodeId>(next() % kNodes + 1); }
  NodeId other_than(NodeId id) {
    return static_cast<NodeId>((id - 1u + 1u + next() % (kNodes - 1)) % kNodes + 1);
  }
  const Recorded* any_recorded() {
    if (recorded_.empty()) return nullptr;
    return &recorded_[(next() * 256u + next()) % recorded_.size()];
  }

  void restart(NodeId id) {
    ++restarts_;
    const int life = node(id).life + 1;
    node(id) = Node{sealer_of(id, life), life};
  }

  void send(NodeId from, NodeId to) {
    const std::uint64_t number = sent_.size() + 1;
    std::string text = std::to_string(number);
    text.resize(8 + number % 50, '.');
    const auto believed = node(from).sealer.life_of(to);
    auto sealed = node(from).sealer.seal(to, text);
    CHECK(sealed.has_value() == believed.has_value());
    if (!sealed) return;
    int to_life = 0;
    for (int life = 1; life <= node(to).life; ++life) {
      if (incarnation_of(to, life) == *believed) to_life = life;
    }
    sent_.push_back({from, to, node(from).life, to_life});
    record(from, to, *std::move(sealed));
  }

  void record(NodeId from, NodeId to, std::string bytes) {
    if (recorded_.size() == kRecordedMax) {
      recorded_.pop_front();
      if (next_ > 0) --next_;
    }
    recorded_.push_back({from, to, std::move(bytes)});
  }

  void deliver_next() {
    if (next_ >= recorded_.size()) return;
    const Recorded one = recorded_[next_++];
    deliver(one.to, one.bytes);
  }

  void tamper(NodeId to) {
    const Recorded* const one = any_recorded();
    if (one == nullptr) return;
    std::string bytes = one->bytes;
    const bool elsewhere = to != one->to;
    switch (next() % 4) {
      case 0:
        bytes.resize(next() % bytes.size());
        break;
      case 1:
        bytes[next() % bytes.size()] ^= static_cast<char>(1 << next() % 8);
        break;
      case 2:
        bytes += static_cast<char>(next());
        break;
      case 3:
        if (!elsewhere) return;
        break;
    }
    const Opened opened = node(to).sealer.open(bytes);
    CHECK(opened.fault != SealFault::kNone && opened.from == 0 && opened.answer.empty());
    CHECK(!opened.has_content && opened.payload.empty());
  }

  void deliver(NodeId to, const std::string& bytes_lent) {
    const std::string bytes = bytes_lent;
    Node& receiver = node(to);
    const Opened opened = receiver.sealer.open(bytes);
    CHECK(opened.answer.size() <= bytes.size());
    if (!opened.answer.empty()) record(to, opened.from, opened.answer);
    if (opened.fault != SealFault::kNone) {
      CHECK(!opened.has_content && !opened.new_life && opened.payload.empty());
      return;
    }
    CHECK(receiver.sealer.ready(opened.from));
    int life = 0;
    for (int each = 1; each <= node(opened.from).life; ++each) {
      if (incarnation_of(opened.from, each) == *receiver.sealer.life_of(opened.from)) life = each;
    }
    int& believed = receiver.believed[opened.from];
    CHECK(opened.new_life == (life != believed));
    CHECK(life >= believed);  // an earlier life never comes again
    believed = life;
    if (!opened.has_content) return;
    const std::uint64_t number = std::stoull(std::string(opened.payload));
    CHECK(number >= 1 && number <= sent_.size());
    const Sent& sent = sent_[number - 1];
    CHECK(sent.from == opened.from && sent.to == to);
    CHECK(sent.life == life);
    CHECK(sent.to_life == receiver.life);
    CHECK(receiver.heard.insert(number).second);  // once only
    ++heard_;
  }

  // Whatever happened: with a network that delivers, everybody hears everybody within three rounds.
  void heal() {
    next_ = recorded_.size();
    for (int round = 0; round < 3; ++round) exchange();
    const std::uint64_t before = heard_;
    exchange();
    CHECK(heard_ - before == kNodes * (kNodes - 1));
  }
  void exchange() {
    for (NodeId from = 1; from <= kNodes; ++from) {
      for (NodeId to = 1; to <= kNodes; ++to) {
        if (from == to) continue;
        if (node(from).sealer.ready(to)) {
          send(from, to);
        } else {
          record(from, to, node(from).sealer.hello(to));
        }
      }
    }
    std::size_t delivered = 0;
    while (next_ < recorded_.size()) {
      deliver_next();
      CHECK(++delivered <= 100);  // answers come to an end
    }
  }

  std::string_view script_;
  std::vector<Node> nodes_;
  std::vector<Sent> sent_;  // message n is sent_[n - 1]
  std::deque<Recorded> recorded_;
  std::size_t next_ = 0;  // of recorded_, to be delivered in order
  std::uint64_t heard_ = 0;
  std::uint64_t restarts_ = 0;
};

}  // namespace nines::cluster
