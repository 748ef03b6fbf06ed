// Chunked bodies: each rule, each cut, and a naive decoder as the oracle.
#include "http/chunked.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace nines::http {
namespace {

using Status = ChunkScanner::Status;

struct Outcome {
  std::size_t consumed = 0;
  Status status = Status::kMore;
  Fault fault = Fault::kNone;
  std::uint64_t payload = 0;
  bool operator==(const Outcome&) const = default;
};

// Feeds `bytes` in pieces of the given sizes, then the rest at once.
Outcome scan(std::string_view bytes, const std::vector<std::size_t>& pieces = {}) {
  ChunkScanner scanner;
  Outcome outcome;
  std::size_t next = 0;
  while (outcome.consumed < bytes.size() && outcome.status == Status::kMore) {
    std::string_view piece = bytes.substr(outcome.consumed);
    if (next < pieces.size()) piece = piece.substr(0, pieces[next++]);
    const std::string copy(piece);  // a heap block of its own size: ASan sees a step beyond it
    const ChunkScanner::Step step = scanner.feed(copy);
    outcome.consumed += step.consumed;
    outcome.status = step.status;
    outcome.fault = step.fault;
    if (step.status == Status::kMore) {
      EXPECT_EQ(step.consumed, piece.size());
    }
  }
  outcome.payload = scanner.payload_bytes();
  return outcome;
}

Fault fault_of(std::string_view bytes) { return scan(bytes).fault; }

TEST(ChunkScanner, BodyEndsBehindItsLastLine) {
  const std::string body = "4\r\nWiki\r\nB;name=\"v\"\r\nabcdefghijk\r\n0\r\n\r\n";
  const Outcome outcome = scan(body + "GET / HTTP/1.1\r\n");
  EXPECT_EQ(outcome.status, Status::kDone);
  EXPECT_EQ(outcome.consumed, body.size());
  EXPECT_EQ(outcome.payload, 15u);
}

TEST(ChunkScanner, TrailersBelongToTheBody) {
  const std::string body = "1\r\na\r\n0\r\nX-Sum: 1 2\t\r\nY:\r\n\r\n";
  const Outcome outcome = scan(body + "next");
  EXPECT_EQ(outcome.status, Status::kDone);
  EXPECT_EQ(outcome.consumed, body.size());
}

TEST(ChunkScanner, EveryCutGivesTheSameAnswer) {
  for (const std::string& body :
       {std::string("A;x=1 ; y\r\n0123456789\r\n1 \r\na\r\n00\r\nX: y\r\nContent-MD5: z\r\n\r\n"),
        std::string("5\r\nabcdeX"), std::string("1\r\na\r\n0\r\nContent-Length: 5\r\n\r\n"),
        std::string("3;a\rb"), std::string("1\r\nab\r\n")}) {
    const Outcome whole = scan(body);
    for (std::size_t cut = 1; cut < body.size(); ++cut) {
      EXPECT_EQ(scan(body, {cut}), whole) << body << " cut at " << cut;
    }
    EXPECT_EQ(scan(body, std::vector<std::size_t>(body.size(), 1)), whole) << body;
  }
}

TEST(ChunkScanner, EachRuleHasItsFault) {
  const std::vector<std::pair<std::string, Fault>> cases = {
      {"\r\n", Fault::kChunkSizeMissing},
      {";a\r\n", Fault::kChunkSizeMissing},
      {" 3\r\nabc\r\n", Fault::kChunkSizeInvalid},
      {"-3\r\nabc\r\n", Fault::kChunkSizeInvalid},
      {"+3\r\nabc\r\n", Fault::kChunkSizeInvalid},
      {"0x3\r\nabc\r\n", Fault::kChunkSizeInvalid},
      {"3 3\r\nabc\r\n", Fault::kChunkSizeInvalid},
      {"g\r\n", Fault::kChunkSizeInvalid},
      {"10000000000000000\r\n", Fault::kChunkSizeOverflow},
      {"8000000000000000\r\n", Fault::kChunkSizeOverflow},
      {"00000000000000003\r\nabc\r\n", Fault::kChunkSizeOverflow},
      {"3\nabc\r\n", Fault::kBareLf},
      {"3\rabc\r\n", Fault::kBareCr},
      {"3;a\nabc\r\n", Fault::kBareLf},
      {"3;a\rb\r\n", Fault::kBareCr},
      {"3 \nabc\r\n", Fault::kBareLf},
      {std::string("3;a\0b\r\n", 7), Fault::kChunkExtensionInvalid},
      {"3;" + std::string(kChunkExtensionMax + 1, 'a'), Fault::kChunkExtensionTooLong},
      {"3" + std::string(kChunkExtensionMax + 1, ' '), Fault::kChunkExtensionTooLong},
      {"3\r\nabcd\r\n", Fault::kChunkDataEnd},
      {"3\r\nabc\n", Fault::kBareLf},
      {"3\r\nabc\rx", Fault::kBareCr},
      {"0\r\n\n", Fault::kBareLf},
      {"0\r\n\rx", Fault::kBareCr},
      {"0\r\n X: y\r\n\r\n", Fault::kObsFold},
      {"0\r\nX: y\r\n z\r\n\r\n", Fault::kObsFold},
      {"0\r\nX : y\r\n\r\n", Fault::kSpaceBeforeColon},
      {"0\r\n: y\r\n\r\n", Fault::kEmptyName},
      {"0\r\nX\r\n\r\n", Fault::kTrailerInvalid},
      {"0\r\nX@: y\r\n\r\n", Fault::kTrailerInvalid},
      {"0\r\nX: \x01\r\n\r\n", Fault::kTrailerInvalid},
      {"0\r\nX: y\n\r\n", Fault::kBareLf},
      {"0\r\nX: y\rz", Fault::kBareCr},
      {"0\r\ncontent-LENGTH: 3\r\n\r\n", Fault::kTrailerForbidden},
      {"0\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::kTrailerForbidden},
      {"0\r\nHost: b\r\n\r\n", Fault::kTrailerForbidden},
      {"0\r\nX: " + std::string(kTrailerBytesMax, 'a'), Fault::kTrailerTooLarge},
  };
  for (const auto& [bytes, fault] : cases) {
    EXPECT_EQ(describe(fault_of(bytes)), describe(fault)) << bytes.substr(0, 40);
  }
}

TEST(ChunkScanner, LimitsThemselvesAreAllowed) {
  EXPECT_EQ(fault_of("7FFFFFFFFFFFFFFF\r\n"), Fault::kNone);
  EXPECT_EQ(fault_of("0000000000000003\r\nabc\r\n"), Fault::kNone);
  EXPECT_EQ(fault_of("3;" + std::string(kChunkExtensionMax, 'a') + "\r\n"), Fault::kNone);
  std::string body = "0\r\n";
  for (unsigned i = 0; i < kTrailerFieldsMax; ++i) body += "X: y\r\n";
  EXPECT_EQ(scan(body + "\r\n").status, Status::kDone);
  EXPECT_EQ(scan(body + "X: y\r\n\r\n").fault, Fault::kTrailerTooLarge);
}

TEST(ChunkScanner, FaultIsAtTheByteThatBreaksTheRule) {
  EXPECT_EQ(scan("3\r\nabcX\r\n").consumed, 6u);
  EXPECT_EQ(scan("3\r\nabc\r\nz").consumed, 8u);
}

// Payload in chunks of the given sizes with extensions now and then.
std::string encode(const std::vector<std::string>& chunks) {
  std::string body;
  for (const std::string& chunk : chunks) {
    if (chunk.empty()) continue;
    char size[20];
    std::snprintf(size, sizeof size, chunk.size() % 2 != 0 ? "%zx" : "%zX;e=1", chunk.size());
    body.append(size).append("\r\n").append(chunk).append("\r\n");
  }
  return body + "0\r\n\r\n";
}

RC_GTEST_PROP(ChunkScannerProperty, AnyPayloadInAnyPiecesIsDone,
              (const std::vector<std::string>& chunks, std::vector<unsigned char> sizes,
               const std::string& behind)) {
  const std::string body = encode(chunks);
  std::vector<std::size_t> pieces;
  for (const unsigned char size : sizes) pieces.push_back(1 + size % 16);
  const Outcome outcome = scan(body + behind, pieces);
  std::size_t payload = 0;
  for (const std::string& chunk : chunks) payload += chunk.size();
  RC_ASSERT(outcome.status == Status::kDone);
  RC_ASSERT(outcome.consumed == body.size());
  RC_ASSERT(outcome.payload == payload);
}

RC_GTEST_PROP(ChunkScannerProperty, BrokenBodiesAreAnsweredAlikeInAnyPieces,
              (const std::vector<std::string>& chunks, unsigned place, char byte,
               std::vector<unsigned char> sizes)) {
  std::string body = encode(chunks);
  body[place % body.size()] = byte;
  std::vector<std::size_t> pieces;
  for (const unsigned char size : sizes) pieces.push_back(1 + size % 16);
  RC_ASSERT(scan(body, pieces) == scan(body));
}

}  // namespace
}  // namespace nines::http
