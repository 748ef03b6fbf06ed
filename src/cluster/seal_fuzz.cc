// A byte below 128 in front: the rest is a script for three nodes and whoever records and replays
// (seal_model.h). Else the rest is a datagram that two nodes hear which know each other.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "cluster/seal_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nines::cluster;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] < 128) {
    SealModel().run(bytes);
    return 0;
  }
  Sealer a = sealer_of(1, 1), b = sealer_of(2, 1);
  const Opened asked = b.open(a.hello(2));
  const Opened answered = a.open(asked.answer);
  CHECK(answered.fault == SealFault::kNone);
  CHECK(b.open(answered.answer).fault == SealFault::kNone);
  for (Sealer* const node : {&a, &b}) {
    const Opened opened = node->open(bytes);
    CHECK(opened.answer.size() <= bytes.size());
    CHECK(opened.fault == SealFault::kNone || opened.payload.empty());
  }
  return 0;
}
