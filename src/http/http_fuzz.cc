// Hostile bytes as requests, responses and chunked bodies. The first byte chooses which and seeds
// the cuts; asserted are offsets within bounds, the same answer however the bytes are cut, and
// edits that give a head which parses again.
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/rng.h"
#include "http/auth.h"
#include "http/chunked.h"
#include "http/edit.h"
#include "http/message.h"
#include "http/syntax.h"

namespace {

using namespace nines::http;

bool within(Slice part, std::size_t size) {
  return part.offset <= size && part.size <= size - part.offset;
}

void check_head(const MessageHead& head, std::string_view bytes, const Limits& limits) {
  CHECK(head.size <= bytes.size() && head.size <= limits.head_bytes);
  CHECK(bytes.substr(0, head.size).ends_with("\r\n\r\n"));
  CHECK(head.leading % 2 == 0 && head.leading <= 2 * kLeadingLinesMax);
  CHECK(within(head.start_line, head.size) && head.start_line.offset == head.leading);
  CHECK(head.field_count <= limits.fields);
  std::uint32_t at = head.start_line.offset + head.start_line.size + 2;
  for (const Field& field : head) {
    CHECK(within(field.line, head.size) && field.line.offset == at);
    CHECK(field.line.in(bytes.data()).ends_with("\r\n"));
    CHECK(field.name.offset == at && field.name.size > 0);
    CHECK(within(field.value, field.line.offset + field.line.size - 2));
    CHECK(field.value.offset > field.name.offset + field.name.size);
    for (const char c : field.name.in(bytes.data())) CHECK(is_token(c));
    for (const char c : field.value.in(bytes.data())) CHECK(is_text(c));
    at += field.line.size;
  }
  CHECK(at + 2 == head.size);
  CHECK(!(head.has(FieldName::kContentLength) && head.has(FieldName::kTransferEncoding)));
}

// A prefix answers "more", or what the whole answers. Parsed from a block of its own size, so that
// a read beyond its end is seen.
template <typename Head, typename Parser>
void check_prefix(std::string_view bytes, std::size_t cut, const ParseResult& whole,
                  std::uint32_t size, const Parser& parse) {
  const std::vector<char> part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
  static Head head;
  const ParseResult result = parse({part.data(), part.size()}, head);
  if (result.status == Parse::kNeedMore) {
    CHECK(whole.status != Parse::kComplete || cut < size);
    return;
  }
  CHECK(result.status == whole.status && result.fault == whole.fault);
  CHECK(result.position == whole.position);
  CHECK(result.status != Parse::kBad || result.position <= cut);
  CHECK(result.status != Parse::kComplete || head.size == size);
}

// Random edits in place and while writing agree, and give a head that parses.
void check_edits(const RequestHead& head, std::string_view bytes, nines::base::Rng& rng) {
  HeadEditor editor(head, bytes.data());
  for (const Field& field : head) {
    if (field.known == FieldName::kHost) continue;
    const std::uint64_t choice = rng.next() % 4;
    if (choice == 0) editor.remove(field);
    if (choice == 1 && field.known == FieldName::kOther) editor.replace_value(field, "v");
  }
  CHECK(editor.set("X-Forwarded-For", "192.0.2.1"));
  std::string rendered;
  editor.render(rendered);
  constexpr std::size_t kRoom = 256;  // replaced values may be longer too
  std::string buffer = std::string(kRoom, '#').append(bytes);
  HeadEditor::Edited edited;
  CHECK(editor.apply(buffer.data(), buffer.data() + kRoom, edited));
  CHECK(std::string_view(edited.data, edited.size) == rendered);
  CHECK(std::string_view(buffer).substr(kRoom + head.size) == bytes.substr(head.size));
  static RequestHead again;
  const Limits wide{.head_bytes = 1 << 20, .line_bytes = 1 << 20, .fields = kFieldsMax};
  CHECK(parse_request(rendered, wide, again).status == Parse::kComplete);
  CHECK(again.size == rendered.size());
  CHECK(again.has(FieldName::kXForwardedFor));
}

void fuzz_request(std::string_view bytes, nines::base::Rng& rng) {
  Limits limits;
  if (rng.next() % 4 == 0) limits = {.head_bytes = 200, .line_bytes = 40, .fields = 5};
  const auto parse = [&limits](std::string_view text, RequestHead& head) {
    return parse_request(text, limits, head);
  };
  static RequestHead head;
  const ParseResult whole = parse(bytes, head);
  if (whole.status == Parse::kComplete) {
    check_head(head, bytes, limits);
    CHECK(within(head.target, head.size) && within(head.host, head.size));
    CHECK(head.framing != Framing::kUntilClose);
    CHECK(head.has(FieldName::kHost) || head.version == Version::kHttp10);
    check_edits(head, bytes, rng);
    if (const Field* field = find_field(head, FieldName::kAuthorization)) {
      const std::string expected[] = {"a:b"};
      static_cast<void>(basic_credentials_match(field->value.in(bytes.data()), expected));
    }
  }
  const std::uint32_t size = head.size;
  for (int i = 0; i < 4; ++i) {
    check_prefix<RequestHead>(bytes, rng.next() % (bytes.size() + 1), whole, size, parse);
  }
}

void fuzz_response(std::string_view bytes, nines::base::Rng& rng) {
  const Limits limits;
  const auto method = static_cast<Method>(rng.next() % 10);
  const auto parse = [&](std::string_view text, ResponseHead& head) {
    return parse_response(text, limits, method, head);
  };
  static ResponseHead head;
  const ParseResult whole = parse(bytes, head);
  if (whole.status == Parse::kComplete) {
    check_head(head, bytes, limits);
    CHECK(within(head.reason, head.size) && head.status >= 100 && head.status <= 999);
    CHECK(head.framing != Framing::kUntilClose || !head.keep_alive);
    CHECK(!head.tunnel || head.framing == Framing::kNone);
  }
  const std::uint32_t size = head.size;
  for (int i = 0; i < 4; ++i) {
    check_prefix<ResponseHead>(bytes, rng.next() % (bytes.size() + 1), whole, size, parse);
  }
}

void fuzz_chunks(std::string_view bytes, nines::base::Rng& rng) {
  ChunkScanner whole;
  const ChunkScanner::Step once = whole.feed(bytes);
  CHECK(once.consumed <= bytes.size());
  CHECK(once.status != ChunkScanner::Status::kMore || once.consumed == bytes.size());
  CHECK((once.status == ChunkScanner::Status::kBad) == (once.fault != Fault::kNone));

  ChunkScanner cut;
  std::size_t at = 0;
  ChunkScanner::Step step;
  while (at < bytes.size() && step.status == ChunkScanner::Status::kMore) {
    const std::string_view rest = bytes.substr(at, 1 + rng.next() % 20);
    const std::vector<char> part(rest.begin(), rest.end());
    step = cut.feed({part.data(), part.size()});
    at += step.consumed;
  }
  CHECK(at == once.consumed && step.status == once.status && step.fault == once.fault);
  CHECK(cut.payload_bytes() == whole.payload_bytes() && whole.payload_bytes() <= at);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  nines::base::Rng rng(data[0] + size);
  switch (data[0] % 3) {
    case 0:
      fuzz_request(bytes, rng);
      break;
    case 1:
      fuzz_response(bytes, rng);
      break;
    default:
      fuzz_chunks(bytes, rng);
      break;
  }
  return 0;
}
