// One list of fields for each message, walked by a writer or by a reader: the two cannot disagree.
#include "cluster/lease_wire.h"

#include <algorithm>
#include <type_traits>

#include "base/check.h"

namespace nines::cluster {
namespace {

constexpr std::uint64_t kTermMicrosecondsMax =
    std::chrono::duration_cast<std::chrono::microseconds>(kTermMax).count();

class Writer {
 public:
  static constexpr bool kReads = false;

  void number(std::uint64_t value, int bytes, std::uint64_t least, std::uint64_t most) {
    CHECK(value >= least && value <= most);
    for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  }

  std::string out;
};

class Reader {
 public:
  static constexpr bool kReads = true;

  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  void number(T& value, int bytes, std::uint64_t least, std::uint64_t most) {
    std::uint64_t read = 0;
    if (rest_.size() < static_cast<std::size_t>(bytes)) {
      fail(LeaseWireFault::kTooShort);
      rest_ = {};
    } else {
      for (int i = 0; i < bytes; ++i) {
        read = read << 8 | static_cast<std::uint8_t>(rest_[static_cast<std::size_t>(i)]);
      }
      rest_.remove_prefix(static_cast<std::size_t>(bytes));
      if (read < least || read > most) fail(LeaseWireFault::kRange);
    }
    value = static_cast<T>(good() ? read : least);
  }

  void fail(LeaseWireFault fault) {
    if (good()) fault_ = fault;
  }
  bool good() const { return fault_ == LeaseWireFault::kNone; }
  LeaseWireFault finish() {
    if (!rest_.empty()) fail(LeaseWireFault::kTooLong);
    return fault_;
  }

 private:
  std::string_view rest_;
  LeaseWireFault fault_ = LeaseWireFault::kNone;
};

// -- fields
// -----------------------------------------------------------------------------------------

template <typename Walker, typename T>
void whole(Walker& walker, T& value) {
  walker.number(value, sizeof(value), 0, UINT64_MAX >> (64 - 8 * sizeof(value)));
}

template <typename Walker, typename E>
void choice(Walker& walker, E& value, E last) {
  std::uint8_t code = static_cast<std::uint8_t>(value);
  walker.number(code, 1, 0, static_cast<std::uint64_t>(last));
  if constexpr (Walker::kReads) value = static_cast<E>(code);
}

// A counter; its bound keeps arithmetic on it from overflowing.
template <typename Walker>
void counter(Walker& walker, std::uint64_t& value) {
  walker.number(value, 8, 0, Ballot::kCounterMax);
}

template <typename Walker>
void ballot(Walker& walker, Ballot& value) {
  walker.number(value.value, 8, 0, Ballot::ceiling(Ballot::kCounterMax).value);
}

template <typename Walker>
void node(Walker& walker, NodeId& value) {
  walker.number(value, 1, 0, kNodeIdMax);
}

template <typename Walker>
void nodes(Walker& walker, NodeSet& value) {
  std::uint64_t bits = value.bits();
  walker.number(bits, 8, 0, UINT64_MAX);
  if constexpr (Walker::kReads) {
    if ((bits & 1) != 0) walker.fail(LeaseWireFault::kRange);
    value = NodeSet::of_bits(bits);
  }
}

template <typename Walker>
void time(Walker& walker, Duration& value, std::uint64_t least) {
  std::uint64_t microseconds = 0;
  if constexpr (!Walker::kReads) {
    const auto up = std::chrono::ceil<std::chrono::microseconds>(value).count();
    microseconds = std::clamp(static_cast<std::uint64_t>(std::max<std::int64_t>(up, 0)), least,
                              kTermMicrosecondsMax);
  }
  walker.number(microseconds, 4, least, kTermMicrosecondsMax);
  if constexpr (Walker::kReads) value = std::chrono::microseconds(microseconds);
}

// How many follow; never more than kNamesMax, whatever the bytes say.
template <typename Walker, typename T, typename Each>
void list(Walker& walker, T& values, std::size_t least, Each&& each) {
  std::uint8_t count = static_cast<std::uint8_t>(std::min<std::size_t>(values.size(), 255));
  walker.number(count, 1, least, kNamesMax);
  if constexpr (Walker::kReads) {
    values.resize(walker.good() ? count : 0);
  }
  for (auto& value : values) each(value);
}

// -- messages
// -----------------------------------------------------------------------------------------

template <typename Walker>
void walk(Walker& walker, Generation& generation) {
  whole(walker, generation.number);
  nodes(walker, generation.voters);
  nodes(walker, generation.previous);
  counter(walker, generation.floor);
}

template <typename Walker>
void walk(Walker& walker, ChangeRegister& change) {
  ballot(walker, change.promised);
  ballot(walker, change.accepted);
  walk(walker, change.value);
}

template <typename Walker>
void walk(Walker& walker, message::Proposal& proposal) {
  choice(walker, proposal.phase, Phase::kAccept);
  whole(walker, proposal.generation);
  ballot(walker, proposal.ballot);
  whole(walker, proposal.round);
  time(walker, proposal.term, 1);
  ballot(walker, proposal.follows);
  list(walker, proposal.names, 1, [&](Name& name) { whole(walker, name); });
}

template <typename Walker>
void walk(Walker& walker, message::Vote& vote) {
  whole(walker, vote.name);
  choice(walker, vote.verdict, message::Verdict::kFull);
  if (vote.verdict == message::Verdict::kBusy) {
    node(walker, vote.owner);
    time(walker, vote.remaining, 0);
  } else if (vote.verdict == message::Verdict::kOutbid) {
    ballot(walker, vote.promised);
  }
}

template <typename Walker>
void walk(Walker& walker, message::Votes& votes) {
  choice(walker, votes.phase, Phase::kAccept);
  whole(walker, votes.generation);
  ballot(walker, votes.ballot);
  whole(walker, votes.round);
  choice(walker, votes.refusal, message::Refusal::kTerm);
  list(walker, votes.votes, 0, [&](message::Vote& vote) { walk(walker, vote); });
  if constexpr (Walker::kReads) {
    const bool refused = votes.refusal != message::Refusal::kNone;
    if (refused != votes.votes.empty()) walker.fail(LeaseWireFault::kRange);
  }
}

template <typename Walker>
void walk(Walker& walker, message::Release& release) {
  ballot(walker, release.ballot);
  node(walker, release.successor);
  list(walker, release.names, 1, [&](Name& name) { whole(walker, name); });
}

template <typename Walker>
void walk(Walker& walker, message::LearnAsk& ask) {
  whole(walker, ask.nonce);
}

template <typename Walker>
void walk(Walker& walker, message::LearnAnswer& answer) {
  whole(walker, answer.nonce);
  counter(walker, answer.counter);
  walk(walker, answer.generation);
  walk(walker, answer.change);
}

template <typename Walker>
void walk(Walker& walker, message::ChangeProposal& change) {
  choice(walker, change.phase, Phase::kAccept);
  ballot(walker, change.ballot);
  walk(walker, change.next);
}

template <typename Walker>
void walk(Walker& walker, message::ChangeVote& vote) {
  choice(walker, vote.phase, Phase::kAccept);
  whole(walker, vote.number);
  ballot(walker, vote.ballot);
  std::uint8_t yes = vote.yes ? 1 : 0;
  walker.number(yes, 1, 0, 1);
  if constexpr (Walker::kReads) vote.yes = yes == 1;
  walk(walker, vote.state);
}

template <typename Walker>
void walk(Walker& walker, message::GenerationNews& news) {
  walk(walker, news.generation);
}

template <typename Walker>
void walk(Walker& walker, message::GenerationAdopted& adopted) {
  whole(walker, adopted.number);
  counter(walker, adopted.counter);
}

template <std::size_t kind = 0>
void read_kind(std::size_t wanted, Reader& reader, Message& message) {
  if constexpr (kind < std::variant_size_v<Message>) {
    if (wanted != kind) return read_kind<kind + 1>(wanted, reader, message);
    walk(reader, message.emplace<kind>());
  } else {
    reader.fail(LeaseWireFault::kKind);
  }
}

}  // namespace

std::string_view name_of(LeaseWireFault fault) {
  switch (fault) {
    case LeaseWireFault::kNone:
      return "none";
    case LeaseWireFault::kTooShort:
      return "too short";
    case LeaseWireFault::kTooLong:
      return "too long";
    case LeaseWireFault::kVersion:
      return "unknown version";
    case LeaseWireFault::kKind:
      return "unknown kind";
    case LeaseWireFault::kRange:
      return "value out of range";
  }
  return "unknown";
}

std::string encode_lease_message(const Message& message) {
  Writer writer;
  writer.number(kLeaseWireVersion, 1, 0, 255);
  writer.number(message.index(), 1, 0, 255);
  std::visit(
      [&](const auto& each) {
        auto copy = each;  // walkers take what they might set
        walk(writer, copy);
      },
      message);
  CHECK(writer.out.size() <= kLeaseMessageMax);
  return std::move(writer.out);
}

LeaseWireFault parse_lease_message(std::string_view bytes, Message& message) {
  Reader reader(bytes);
  std::uint8_t version = 0, kind = 0;
  reader.number(version, 1, 0, 255);
  if (reader.good() && version != kLeaseWireVersion) return LeaseWireFault::kVersion;
  reader.number(kind, 1, 0, 255);
  if (!reader.good()) return LeaseWireFault::kTooShort;
  read_kind(kind, reader, message);
  return reader.finish();
}

}  // namespace nines::cluster
