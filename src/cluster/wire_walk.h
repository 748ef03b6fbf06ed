// Fields of messages as bytes, big-endian: one list of fields for each message is walked by a
// writer or by a reader, so that the two cannot disagree.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "cluster/lease_message.h"

namespace nines::cluster {

enum class WireFault : std::uint8_t {
  kNone,
  kTooShort,  // ends before what it announces
  kTooLong,   // goes on after its end
  kVersion,
  kKind,   // no such message
  kRange,  // a value that no sound node sends
};
std::string_view name_of(WireFault fault);

inline constexpr std::uint8_t kNodeWireVersion = 1;

}  // namespace nines::cluster

namespace nines::cluster::wire {

inline constexpr std::uint64_t kMicrosecondsMax =
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
      fail(WireFault::kTooShort);
      rest_ = {};
    } else {
      for (int i = 0; i < bytes; ++i) {
        read = read << 8 | static_cast<std::uint8_t>(rest_[static_cast<std::size_t>(i)]);
      }
      rest_.remove_prefix(static_cast<std::size_t>(bytes));
      if (read < least || read > most) fail(WireFault::kRange);
    }
    value = static_cast<T>(good() ? read : least);
  }

  void fail(WireFault fault) {
    if (good()) fault_ = fault;
  }
  bool good() const { return fault_ == WireFault::kNone; }
  WireFault finish() {
    if (!rest_.empty()) fail(WireFault::kTooLong);
    return fault_;
  }

 private:
  std::string_view rest_;
  WireFault fault_ = WireFault::kNone;
};

// -- fields ----

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
    if ((bits & 1) != 0) walker.fail(WireFault::kRange);
    value = NodeSet::of_bits(bits);
  }
}

template <typename Walker>
void time(Walker& walker, Duration& value, std::uint64_t least) {
  std::uint64_t microseconds = 0;
  if constexpr (!Walker::kReads) {
    const auto up = std::chrono::ceil<std::chrono::microseconds>(value).count();
    microseconds = std::clamp(static_cast<std::uint64_t>(std::max<std::int64_t>(up, 0)), least,
                              kMicrosecondsMax);
  }
  walker.number(microseconds, 4, least, kMicrosecondsMax);
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

template <typename Walker>
void instant(Walker& walker, Instant& value) {
  walker.number(value.nanoseconds, 8, 0, INT64_MAX);
}

}  // namespace nines::cluster::wire
