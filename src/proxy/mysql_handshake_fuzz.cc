// Hostile bytes as a greeting and as the answer to a login. Asserted: views stay inside the bytes,
// the answer does not depend on what follows the packet, and a prefix needs more or is as bad.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/check.h"
#include "proxy/mysql_handshake.h"

namespace {

using namespace nines::proxy::mysql;

bool inside(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check(Answer (*parse)(std::string_view), std::string_view bytes) {
  const Answer answer = parse(bytes);
  if (answer.parse == Parse::kNeedMore) {
    CHECK(bytes.size() < kPacketMax + 4);
    return;
  }
  if (answer.parse == Parse::kBad) return;
  CHECK(answer.size > 4 && answer.size <= bytes.size() && answer.size <= kPacketMax + 4);
  CHECK(inside(answer.greeting.version, bytes) && inside(answer.greeting.auth_plugin, bytes));
  CHECK(inside(answer.error.text, bytes));
  CHECK(parse(bytes.substr(0, answer.size)).parse == Parse::kComplete);
  CHECK(parse(bytes.substr(0, answer.size - 1)).parse == Parse::kNeedMore);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check(parse_greeting, bytes);
  check(parse_login_answer, bytes);
  return 0;
}
