// Hostile bytes as a database server's side of a whole check, cut where the first byte says.
// Asserted: the password never goes out, what is kept and said is bounded, cuts change nothing.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "proxy/galera_check.h"
#include "proxy/mysql_status.h"

namespace {

using nines::proxy::CheckCredentials;
using nines::proxy::CheckOutcome;
using nines::proxy::DonorPolicy;
using nines::proxy::GaleraCheck;

constexpr std::string_view kPassword = "neverseen";

struct Told {
  std::optional<CheckOutcome> verdict;
  std::string sent;
};

Told tell(std::string_view bytes, std::size_t step) {
  CheckCredentials credentials;
  credentials.user = "nines";
  credentials.password = kPassword;
  GaleraCheck check(credentials, DonorPolicy::kAvailable);
  check.begin();
  Told told;
  while (!bytes.empty() && !told.verdict) {
    const std::string_view part = bytes.substr(0, step);
    bytes.remove_prefix(part.size());
    told.verdict = check.on_data(part);
    told.sent += check.to_send();
  }
  CHECK(!check.on_end().passed());
  CHECK(told.sent.find(kPassword) == std::string::npos);
  if (told.verdict) CHECK(told.verdict->info.size() < 256);
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto answer = nines::proxy::mysql::parse_status(bytes);
  CHECK(answer.size <= bytes.size());
  if (bytes.empty()) return 0;
  const std::size_t step = static_cast<std::uint8_t>(bytes[0]) % 32 + 1;
  bytes.remove_prefix(1);
  const Told whole = tell(bytes, bytes.size() + 1);
  const Told cut = tell(bytes, step);
  if (bytes.size() <= GaleraCheck::kAnswerMax) {
    CHECK(whole.verdict == cut.verdict);
    if (!whole.verdict) CHECK(whole.sent == cut.sent);
  }
  return 0;
}
