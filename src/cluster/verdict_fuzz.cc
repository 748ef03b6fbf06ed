// Any datagram at a controller and at a listener that know each other: none is believed or
// answered, but for what they said themselves.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "cluster/verdict_listener.h"
#include "cluster/verdict_teller.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nines;
  using namespace nines::cluster;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Secret::Bytes secret{};
  secret.fill(7);
  Incarnation one{}, other{};
  one.fill(1);
  other.fill(2);
  const auto key = make_key(Secret(secret));
  CHECK(key.has_value());
  const Instant now{1'000'000'000'000};
  VerdictTeller teller({*key}, 1, one);
  auto listener = VerdictListener::create({*listener_key(*key, "comp01")}, "comp01", {1}, other);
  CHECK(listener.has_value());
  const auto told = teller.heard({}, listener->ask(1, now), now);
  CHECK(told.has_value());
  CHECK(!teller.heard({}, bytes, now).has_value());
  if (bytes == told->bytes) return 0;
  CHECK(!listener->heard(bytes, now));
  CHECK(listener->heard(told->bytes, now));
  return 0;
}
