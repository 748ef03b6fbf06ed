// Which of a sender's numbers were seen: everything of the last kReplayWindow, and nothing that is
// older is new. As RFC 4303 (3.4.3) has it for IPsec, with a bit for each number.
#pragma once

#include <array>
#include <cstdint>

namespace nines::cluster {

inline constexpr std::uint64_t kReplayWindow = 1024;  // numbers; later ones than that are refused

class ReplayWindow {
 public:
  enum class Verdict : std::uint8_t { kNew, kSeen, kTooOld };

  // Numbers begin with 1. A new one counts as seen from here on.
  Verdict take(std::uint64_t number) {
    if (number > highest_) {
      const std::uint64_t ahead = number - highest_;
      if (ahead >= kReplayWindow) {
        bits_.fill(0);
      } else {
        for (std::uint64_t each = highest_ + 1; each != number; ++each) clear(each);
      }
      highest_ = number;
      set(number);
      return Verdict::kNew;
    }
    if (number == 0 || highest_ - number >= kReplayWindow) return Verdict::kTooOld;
    if (is_set(number)) return Verdict::kSeen;
    set(number);
    return Verdict::kNew;
  }
  std::uint64_t highest() const { return highest_; }  // 0: nothing was seen

 private:
  static std::uint64_t mask(std::uint64_t number) { return std::uint64_t{1} << number % 64; }
  std::uint64_t& word(std::uint64_t number) { return bits_[number % kReplayWindow / 64]; }
  void set(std::uint64_t number) { word(number) |= mask(number); }
  void clear(std::uint64_t number) { word(number) &= ~mask(number); }
  bool is_set(std::uint64_t number) { return (word(number) & mask(number)) != 0; }

  std::uint64_t highest_ = 0;
  std::array<std::uint64_t, kReplayWindow / 64> bits_{};
};

}  // namespace nines::cluster
