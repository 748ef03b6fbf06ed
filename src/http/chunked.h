// Chunked bodies on their way through (RFC 9112 7.1): the bytes stay as they are, the scanner only
// proves that they are well formed and says where they end. Data is stepped over, not looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/message.h"

namespace nines::http {

inline constexpr unsigned kChunkSizeDigitsMax = 16;
inline constexpr std::size_t kChunkExtensionMax = 256;  // bytes of one chunk's extensions
inline constexpr std::size_t kTrailerBytesMax = 8192;   // all trailer lines of a body
inline constexpr unsigned kTrailerFieldsMax = 64;

// One body. A value of a few dozen bytes; assign a fresh one for the next body.
class ChunkScanner {
 public:
  enum class Status : std::uint8_t {
    kMore,  // all bytes belong to the body, and it goes on
    kDone,  // the body ends behind the consumed bytes
    kBad,   // broken at the consumed bytes' end; pass on nothing from there
  };
  struct Step {
    std::size_t consumed = 0;
    Status status = Status::kMore;
    Fault fault = Fault::kNone;
  };

  // The body's next bytes, cut anywhere. Once it answered kDone or kBad it is not fed again.
  Step feed(std::string_view bytes);

  bool done() const { return state_ == State::kDone; }
  std::uint64_t payload_bytes() const { return payload_; }  // data seen so far, without framing

 private:
  // kSizeFirst > kSize > (kPadding | kExtension)* > kSizeLf > kData > kDataCr > kDataLf >
  // kSizeFirst
  //                      last chunk: kSizeLf > kLineFirst > (kName > kValue > kValueLf)* > kEndLf
  enum class State : std::uint8_t {
    kSizeFirst,
    kSize,
    kPadding,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kLineFirst,
    kName,
    kValue,
    kValueLf,
    kEndLf,
    kDone,
  };
  static constexpr std::size_t kNameKept = 20;  // longer names are none that is forbidden

  Fault begin_trailer_line(char c);
  Fault end_trailer_name() const;

  State state_ = State::kSizeFirst;
  std::uint8_t digits_ = 0;
  std::uint8_t trailer_fields_ = 0;
  std::uint8_t name_size_ = 0;  // kNameKept + 1: longer
  std::uint16_t extension_bytes_ = 0;
  std::uint16_t trailer_bytes_ = 0;
  std::uint64_t remaining_ = 0;  // the chunk's size while it is read, then its data left
  std::uint64_t payload_ = 0;
  char name_[kNameKept] = {};
};

}  // namespace nines::http
