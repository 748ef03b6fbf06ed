// One list of fields for each message, walked by a writer or by a reader: the two cannot disagree.
#include "cluster/lease_wire.h"

#include <utility>

#include "base/check.h"

namespace nines::cluster {
namespace {

using namespace wire;

template <typename Walker>
void truth(Walker& walker, bool& value) {
  std::uint8_t byte = value ? 1 : 0;
  walker.number(byte, 1, 0, 1);
  if constexpr (Walker::kReads) value = byte == 1;
}

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
    if (refused != votes.votes.empty()) walker.fail(WireFault::kRange);
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
  truth(walker, answer.warm);
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
  truth(walker, vote.yes);
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
    reader.fail(WireFault::kKind);
  }
}

}  // namespace

std::string encode_lease_message(const Message& message) {
  Writer writer;
  writer.number(kNodeWireVersion, 1, 0, 255);
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

WireFault parse_lease_message(std::string_view bytes, Message& message) {
  Reader reader(bytes);
  std::uint8_t version = 0, kind = 0;
  reader.number(version, 1, 0, 255);
  if (reader.good() && version != kNodeWireVersion) return WireFault::kVersion;
  reader.number(kind, 1, 0, 255);
  if (!reader.good()) return WireFault::kTooShort;
  read_kind(kind, reader, message);
  return reader.finish();
}

}  // namespace nines::cluster
