// A state a byte for the framing, a jump for the data.
#include "http/chunked.h"

#include <algorithm>

#include "http/syntax.h"

namespace nines::http {
namespace {

static_assert(kTrailerBytesMax < UINT16_MAX && kChunkExtensionMax < UINT16_MAX);
static_assert(kTrailerFieldsMax < UINT8_MAX);

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// RFC 9110 6.5.1: what frames or routes a message, or proves who sent it, never comes behind it; a
// receiver that merges trailers into the head would be deceived.
bool is_forbidden_trailer(FieldName name) {
  switch (name) {
    case FieldName::kContentLength:
    case FieldName::kTransferEncoding:
    case FieldName::kHost:
    case FieldName::kConnection:
    case FieldName::kTrailer:
    case FieldName::kTe:
    case FieldName::kUpgrade:
    case FieldName::kExpect:
    case FieldName::kAuthorization:
    case FieldName::kProxyAuthorization:
    case FieldName::kCookie:
    case FieldName::kSetCookie:
    case FieldName::kContentEncoding:
    case FieldName::kContentType:
      return true;
    default:
      return false;
  }
}

}  // namespace

ChunkScanner::Step ChunkScanner::feed(std::string_view bytes) {
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  const char* p = begin;
  const auto step = [&](Status status, Fault fault) {
    return Step{static_cast<std::size_t>(p - begin), status, fault};
  };
  const auto bad = [&](Fault fault) { return step(Status::kBad, fault); };

  while (p != end) {
    const char c = *p;
    switch (state_) {
      case State::kSizeFirst:
        remaining_ = 0;
        digits_ = 0;
        extension_bytes_ = 0;
        if (hex_value(c) < 0) {
          const bool missing = c == '\r' || c == '\n' || c == ';';
          return bad(missing ? Fault::kChunkSizeMissing : Fault::kChunkSizeInvalid);
        }
        state_ = State::kSize;
        [[fallthrough]];
      case State::kSize:
        if (const int digit = hex_value(c); digit >= 0) {
          // Both bounds: leading zeros may not go on for ever, and the number must stay in range.
          if (++digits_ > kChunkSizeDigitsMax || (remaining_ >> 59) != 0) {
            return bad(Fault::kChunkSizeOverflow);
          }
          remaining_ = remaining_ << 4 | static_cast<std::uint64_t>(digit);
        } else if (c == '\r') {
          state_ = State::kSizeLf;
        } else if (c == ';') {
          state_ = State::kExtension;
        } else if (is_space(c)) {
          state_ = State::kPadding;
          break;
        } else {
          return bad(c == '\n' ? Fault::kBareLf : Fault::kChunkSizeInvalid);
        }
        ++p;
        break;
      case State::kPadding:  // BWS; some servers pad their sizes with it
        if (c == '\r') {
          state_ = State::kSizeLf;
        } else if (c == ';') {
          state_ = State::kExtension;
        } else if (!is_space(c)) {
          return bad(c == '\n' ? Fault::kBareLf : Fault::kChunkSizeInvalid);
        } else if (++extension_bytes_ > kChunkExtensionMax) {
          return bad(Fault::kChunkExtensionTooLong);
        }
        ++p;
        break;
      case State::kExtension:
        if (c == '\r') {
          state_ = State::kSizeLf;
        } else if (c == '\n') {
          return bad(Fault::kBareLf);
        } else if (!is_text(c)) {
          return bad(Fault::kChunkExtensionInvalid);
        } else if (++extension_bytes_ > kChunkExtensionMax) {
          return bad(Fault::kChunkExtensionTooLong);
        }
        ++p;
        break;
      case State::kSizeLf:
        if (c != '\n') return bad(Fault::kBareCr);
        state_ = remaining_ == 0 ? State::kLineFirst : State::kData;
        ++p;
        break;
      case State::kData: {
        const auto here = std::min<std::uint64_t>(remaining_, static_cast<std::size_t>(end - p));
        p += here;
        payload_ += here;
        remaining_ -= here;
        if (remaining_ == 0) state_ = State::kDataCr;
        break;
      }
      case State::kDataCr:
        if (c != '\r') return bad(c == '\n' ? Fault::kBareLf : Fault::kChunkDataEnd);
        state_ = State::kDataLf;
        ++p;
        break;
      case State::kDataLf:
        if (c != '\n') return bad(Fault::kBareCr);
        state_ = State::kSizeFirst;
        ++p;
        break;
      case State::kLineFirst:
        if (c == '\r') {
          state_ = State::kEndLf;
          ++p;
          break;
        }
        if (const Fault fault = begin_trailer_line(c); fault != Fault::kNone) return bad(fault);
        state_ = State::kName;
        [[fallthrough]];
      case State::kName:
        if (++trailer_bytes_ > kTrailerBytesMax) return bad(Fault::kTrailerTooLarge);
        if (c == ':') {
          if (const Fault fault = end_trailer_name(); fault != Fault::kNone) return bad(fault);
          state_ = State::kValue;
        } else if (!is_token(c)) {
          return bad(is_space(c) ? Fault::kSpaceBeforeColon : Fault::kTrailerInvalid);
        } else {
          if (name_size_ < kNameKept) name_[name_size_] = c;
          if (name_size_ <= kNameKept) ++name_size_;
        }
        ++p;
        break;
      case State::kValue:
        if (++trailer_bytes_ > kTrailerBytesMax) return bad(Fault::kTrailerTooLarge);
        if (c == '\r') {
          state_ = State::kValueLf;
        } else if (!is_text(c)) {
          return bad(c == '\n' ? Fault::kBareLf : Fault::kTrailerInvalid);
        }
        ++p;
        break;
      case State::kValueLf:
        if (c != '\n') return bad(Fault::kBareCr);
        state_ = State::kLineFirst;
        ++p;
        break;
      case State::kEndLf:
        if (c != '\n') return bad(Fault::kBareCr);
        ++p;
        state_ = State::kDone;
        return step(Status::kDone, Fault::kNone);
      case State::kDone:
        return step(Status::kDone, Fault::kNone);
    }
  }
  return step(state_ == State::kDone ? Status::kDone : Status::kMore, Fault::kNone);
}

Fault ChunkScanner::begin_trailer_line(char c) {
  if (c == '\n') return Fault::kBareLf;
  if (is_space(c)) return Fault::kObsFold;
  if (++trailer_fields_ > kTrailerFieldsMax) return Fault::kTrailerTooLarge;
  name_size_ = 0;
  return Fault::kNone;
}

Fault ChunkScanner::end_trailer_name() const {
  if (name_size_ == 0) return Fault::kEmptyName;
  if (name_size_ > kNameKept) return Fault::kNone;
  const FieldName known = find_field_name({name_, name_size_});
  return is_forbidden_trailer(known) ? Fault::kTrailerForbidden : Fault::kNone;
}

}  // namespace nines::http
