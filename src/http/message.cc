// The head parser: one pass from left to right over lines. A fault depends only on the bytes up to
// its position, so that a message cut anywhere is answered as the whole would be.
#include "http/message.h"

#include <algorithm>
#include <cstring>

#include "http/syntax.h"

namespace nines::http {
namespace {

constexpr std::string_view kVersionPrefix = "HTTP/1.";
constexpr std::size_t kVersionSize = 8;  // HTTP/1.1

template <typename Word>
constexpr Word load(const char* p) {
  if (std::is_constant_evaluated()) {
    Word word = 0;
    for (std::size_t i = 0; i < sizeof(Word); ++i) {
      word |= static_cast<Word>(static_cast<unsigned char>(p[i])) << (8 * i);  // little-endian
    }
    return word;
  }
  Word word;
  std::memcpy(&word, p, sizeof(Word));
  return word;
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

// Whether a token of kSize bytes is `lower`, whatever its case. Setting bit 5 folds letters, and
// maps no other token byte onto a letter or a dash.
template <std::size_t kSizeWithNul>
bool is(const char* p, const char (&lower)[kSizeWithNul]) {
  constexpr std::size_t kSize = kSizeWithNul - 1;
  constexpr std::uint64_t kFold = 0x2020202020202020u;
  const auto differ = [&]<typename Word>(Word, std::size_t at) -> Word {
    return static_cast<Word>((load<Word>(p + at) | static_cast<Word>(kFold)) ^
                             load<Word>(lower + at));
  };
  if constexpr (kSize > 16) {
    return (differ(std::uint64_t{}, 0) | differ(std::uint64_t{}, 8) |
            differ(std::uint64_t{}, kSize - 8)) == 0;
  } else if constexpr (kSize >= 8) {
    return (differ(std::uint64_t{}, 0) | differ(std::uint64_t{}, kSize - 8)) == 0;
  } else if constexpr (kSize >= 4) {
    return (differ(std::uint32_t{}, 0) | differ(std::uint32_t{}, kSize - 4)) == 0;
  } else {
    return (differ(std::uint16_t{}, 0) | differ(std::uint16_t{}, kSize - 2)) == 0;
  }
  static_assert(kSize >= 2 && kSize <= 24);
}

Method find_method(std::string_view text) {
  const char* p = text.data();
  switch (text.size()) {
    case 3:
      if (std::memcmp(p, "GET", 3) == 0) return Method::kGet;
      if (std::memcmp(p, "PUT", 3) == 0) return Method::kPut;
      break;
    case 4:
      if (std::memcmp(p, "POST", 4) == 0) return Method::kPost;
      if (std::memcmp(p, "HEAD", 4) == 0) return Method::kHead;
      break;
    case 5:
      if (std::memcmp(p, "PATCH", 5) == 0) return Method::kPatch;
      if (std::memcmp(p, "TRACE", 5) == 0) return Method::kTrace;
      break;
    case 6:
      if (std::memcmp(p, "DELETE", 6) == 0) return Method::kDelete;
      break;
    case 7:
      if (std::memcmp(p, "OPTIONS", 7) == 0) return Method::kOptions;
      if (std::memcmp(p, "CONNECT", 7) == 0) return Method::kConnect;
      break;
    default:
      break;
  }
  return Method::kOther;
}

// Reads lines of one head. `end` is where the bytes or the limit of the head end.
class Reader {
 public:
  Reader(std::string_view bytes, const Limits& limits, MessageHead& head)
      : begin_(bytes.data()),
        p_(begin_),
        end_(begin_ + std::min<std::size_t>(bytes.size(), limits.head_bytes)),
        stop_(end_),
        line_max_(std::size_t{limits.line_bytes} + 2),
        field_max_(std::min(limits.fields, kFieldsMax)),
        full_(bytes.size() >= limits.head_bytes),
        head_(head) {}

  bool failed() const { return result_.fault != Fault::kNone || waiting_; }
  ParseResult result() const { return result_; }

 protected:
  // Every step answers true when it went through; false when result_ says why not.
  bool bad(Fault fault, const char* at) {
    result_ = {Parse::kBad, fault, offset(at)};
    return false;
  }
  // The bytes ended within a line: a limit did it, or there is more to come.
  bool short_of_bytes() {
    if (stop_ != end_) return bad(Fault::kLineTooLong, stop_);
    if (full_) return bad(Fault::kHeadTooLarge, stop_);
    result_ = {Parse::kNeedMore, Fault::kNone, 0};
    waiting_ = true;
    return false;
  }
  void begin_line() {
    stop_ = static_cast<std::size_t>(end_ - p_) > line_max_ ? p_ + line_max_ : end_;
  }
  // p_ stands on the byte that ended a scan: it must be CR, and LF behind it; `otherwise` is the
  // fault for any other byte.
  bool end_line(Fault otherwise) {
    if (p_ == stop_) return short_of_bytes();
    if (*p_ != '\r') return bad(*p_ == '\n' ? Fault::kBareLf : otherwise, p_);
    if (p_ + 1 == stop_) return short_of_bytes();
    if (p_[1] != '\n') return bad(Fault::kBareCr, p_);
    p_ += 2;
    return true;
  }
  bool expect_space(Fault otherwise) {
    if (p_ == stop_) return short_of_bytes();
    if (*p_ != ' ') return bad(otherwise, p_);
    ++p_;
    return true;
  }
  bool parse_version(Version& version) {
    if (static_cast<std::size_t>(stop_ - p_) >= kVersionSize) [[likely]] {
      constexpr std::uint64_t kHttp11Word = load<std::uint64_t>("HTTP/1.1");
      constexpr std::uint64_t kHttp10Word = load<std::uint64_t>("HTTP/1.0");
      const std::uint64_t word = load<std::uint64_t>(p_);
      if (word == kHttp11Word || word == kHttp10Word) [[likely]] {
        version = word == kHttp11Word ? Version::kHttp11 : Version::kHttp10;
        p_ += kVersionSize;
        return true;
      }
    }
    for (const char expected : kVersionPrefix) {
      if (p_ == stop_) return short_of_bytes();
      if (*p_ != expected) return bad(Fault::kBadVersion, p_);
      ++p_;
    }
    if (p_ == stop_) return short_of_bytes();
    // A later minor version would have to be answered as 1.1, yet its line would be passed on.
    return bad(Fault::kBadVersion, p_);
  }

  bool parse_fields();

  std::uint32_t offset(const char* at) const { return static_cast<std::uint32_t>(at - begin_); }
  Slice slice(const char* from, const char* to) const {
    return {offset(from), static_cast<std::uint32_t>(to - from)};
  }
  std::string_view text(Slice part) const { return part.in(begin_); }

  const char* const begin_;
  const char* p_;
  const char* const end_;
  const char* stop_;  // where the line must have ended, or end_
  const std::size_t line_max_;
  const std::uint32_t field_max_;
  const bool full_;
  bool waiting_ = false;
  bool chunked_ = false;
  bool connection_upgrade_ = false;
  bool expect_continue_ = false;
  Slice host_;
  MessageHead& head_;
  ParseResult result_;

 private:
  bool parse_field();
  bool note_known(const Field& field);
  bool note_content_length(Slice value);
  bool note_transfer_encoding(Slice value);
  bool note_host(Slice value);
  void note_connection(std::string_view value);
};

bool Reader::parse_fields() {
  while (true) {
    begin_line();
    if (p_ == stop_) return short_of_bytes();
    if (*p_ == '\r' || *p_ == '\n') {
      if (!end_line(Fault::kNone)) return false;
      head_.size = offset(p_);
      return true;
    }
    if (!parse_field()) return false;
  }
}

// The hot loop: its cursor lives in locals, and the members are set on the way out.
bool Reader::parse_field() {
  const char* const line = p_;
  const char* const stop = stop_;
  if (is_space(*line)) return bad(Fault::kObsFold, line);  // RFC 9112 5.2
  if (head_.field_count == field_max_) return bad(Fault::kTooManyFields, line);

  const char* p = find_non_token(line, stop);
  if (p == stop) return short_of_bytes();
  if (*p != ':') {
    return bad(p != line && is_space(*p) ? Fault::kSpaceBeforeColon : Fault::kBadName, p);
  }
  if (p == line) return bad(Fault::kEmptyName, p);
  const char* const name_end = p;

  ++p;
  while (p != stop && is_space(*p)) ++p;
  const char* const value = p;
  p = find_non_text(p, stop);
  const char* value_end = p;
  if (stop - p >= 2 && p[0] == '\r' && p[1] == '\n') [[likely]] {
    p_ = p + 2;
  } else {
    p_ = p;
    const Fault otherwise = p != stop && *p == '\0' ? Fault::kNulInValue : Fault::kControlInValue;
    if (!end_line(otherwise)) return false;
  }
  while (value_end != value && is_space(value_end[-1])) --value_end;

  Field& field = head_.fields[head_.field_count++];
  field.name = slice(line, name_end);
  field.value = slice(value, value_end);
  field.line = slice(line, p_);
  field.known = find_field_name({line, static_cast<std::size_t>(name_end - line)});
  return field.known == FieldName::kOther || note_known(field);
}

bool Reader::note_known(const Field& field) {
  bool fine = true;
  switch (field.known) {
    case FieldName::kContentLength:
      fine = note_content_length(field.value);
      break;
    case FieldName::kTransferEncoding:
      fine = note_transfer_encoding(field.value);
      break;
    case FieldName::kHost:
      fine = note_host(field.value);
      break;
    case FieldName::kConnection:
      note_connection(text(field.value));
      break;
    case FieldName::kExpect:
      for_each_element(text(field.value), [this](std::string_view expectation) {
        if (equal_ignoring_case(expectation, "100-continue")) expect_continue_ = true;
        return true;
      });
      break;
    default:
      break;
  }
  head_.known_seen |= std::uint64_t{1} << static_cast<unsigned>(field.known);
  return fine;
}

// RFC 9110 8.6, RFC 9112 6.3: one field, digits only. A repeated one is refused even when both
// agree.
bool Reader::note_content_length(Slice value) {
  const std::string_view digits = text(value);
  const char* const at = digits.data();
  if (head_.has(FieldName::kContentLength)) return bad(Fault::kLengthRepeated, at);
  if (head_.has(FieldName::kTransferEncoding)) return bad(Fault::kLengthAndEncoding, at);
  if (digits.empty()) return bad(Fault::kLengthEmpty, at);
  if (*at == '+' || *at == '-') return bad(Fault::kLengthSigned, at);
  std::uint64_t length = 0;
  for (const char& c : digits) {
    if (!is_digit(c)) {
      const bool list = digits.find(',') != std::string_view::npos;
      return bad(list ? Fault::kLengthList : Fault::kLengthNotDigits, &c);
    }
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (length > (kContentLengthMax - digit) / 10) return bad(Fault::kLengthOverflow, &c);
    length = length * 10 + digit;
  }
  head_.content_length = length;
  return true;
}

// RFC 9112 6.1: chunked once and last. We know no other coding, so it is chunked alone or nothing.
bool Reader::note_transfer_encoding(Slice value) {
  const std::string_view codings = text(value);
  const char* const at = codings.data();
  if (head_.has(FieldName::kTransferEncoding)) return bad(Fault::kEncodingRepeated, at);
  if (head_.has(FieldName::kContentLength)) return bad(Fault::kLengthAndEncoding, at);
  if (head_.version == Version::kHttp10) return bad(Fault::kEncodingInHttp10, at);
  if (codings.empty()) return bad(Fault::kEncodingEmpty, at);
  if (equal_ignoring_case(codings, "chunked")) {
    chunked_ = true;
    return true;
  }
  int chunked = 0;
  int others = 0;
  bool final = false;
  for_each_element(codings, [&](std::string_view coding) {
    final = equal_ignoring_case(coding, "chunked");
    ++(final ? chunked : others);
    return true;
  });
  if (others != 0) return bad(final ? Fault::kEncodingUnknown : Fault::kEncodingNotFinal, at);
  return bad(chunked > 1 ? Fault::kEncodingRepeated : Fault::kEncodingEmpty, at);
}

// RFC 9112 3.2: one, and nothing that could pass for another part of a URI.
bool Reader::note_host(Slice value) {
  if (head_.has(FieldName::kHost)) return bad(Fault::kHostRepeated, begin_ + value.offset);
  for (const char& c : text(value)) {
    if (!is_host(c)) return bad(Fault::kHostInvalid, &c);
  }
  host_ = value;
  return true;
}

void Reader::note_connection(std::string_view value) {
  for_each_element(value, [this](std::string_view option) {
    if (equal_ignoring_case(option, "close")) {
      head_.connection_close = true;
    } else if (equal_ignoring_case(option, "keep-alive")) {
      head_.connection_keep_alive = true;
    } else if (equal_ignoring_case(option, "upgrade")) {
      connection_upgrade_ = true;
    } else {
      head_.connection_names_fields = true;
    }
    return true;
  });
}

// All but the fields' array, which is written as fields are found.
void clear(MessageHead& head) {
  head.framing = Framing::kNone;
  head.upgrade = false;
  head.connection_close = false;
  head.connection_keep_alive = false;
  head.connection_names_fields = false;
  head.leading = 0;
  head.size = 0;
  head.field_count = 0;
  head.content_length = 0;
  head.known_seen = 0;
}

// RFC 9112 9.3: 1.1 goes on unless told to close, 1.0 closes unless asked to go on.
bool keeps_alive(const MessageHead& head) {
  if (head.connection_close) return false;
  return head.version == Version::kHttp11 || head.connection_keep_alive;
}

// The authority of an absolute target, or nothing when it has no such form: scheme "://" authority.
// User information is refused with it (RFC 9110 4.2.4).
std::string_view authority_of(std::string_view target) {
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos || colon == 0) return {};
  for (const char c : target.substr(0, colon)) {
    const char lower = to_lower(c);
    const bool letter = lower >= 'a' && lower <= 'z';
    if (!letter && !is_digit(c) && c != '+' && c != '-' && c != '.') return {};
  }
  target.remove_prefix(colon + 3);
  const std::string_view authority = target.substr(0, target.find_first_of("/?#"));
  return authority.find('@') == std::string_view::npos ? authority : std::string_view{};
}

std::string_view without_port(std::string_view authority, std::string_view port) {
  return authority.ends_with(port) ? authority.substr(0, authority.size() - port.size())
                                   : authority;
}

bool same_authority(std::string_view target, std::string_view authority, std::string_view host) {
  if (equal_ignoring_case(authority, host)) return true;
  const bool secure = target.size() > 5 && to_lower(target[4]) == 's';
  const std::string_view port = secure ? ":443" : ":80";
  return equal_ignoring_case(without_port(authority, port), without_port(host, port));
}

class RequestReader : public Reader {
 public:
  RequestReader(std::string_view bytes, const Limits& limits, RequestHead& head)
      : Reader(bytes, limits, head), request_(head) {}

  ParseResult parse() {
    if (skip_empty_lines() && parse_start_line() && parse_fields() && conclude()) {
      return {Parse::kComplete, Fault::kNone, 0};
    }
    return result_;
  }

 private:
  // RFC 9112 2.2: some clients send an empty line too many after a body.
  bool skip_empty_lines() {
    begin_line();
    for (std::uint32_t lines = 0; p_ != stop_ && (*p_ == '\r' || *p_ == '\n'); ++lines) {
      if (lines == kLeadingLinesMax) return bad(Fault::kTooManyEmptyLines, p_);
      if (!end_line(Fault::kNone)) return false;
    }
    request_.leading = offset(p_);
    return true;
  }

  bool parse_start_line() {
    begin_line();
    const char* const line = p_;
    p_ = find_non_token(p_, stop_);
    const char* const method_end = p_;
    if (p_ != stop_ && p_ == line) return bad(Fault::kBadMethod, p_);
    if (!expect_space(Fault::kBadMethod)) return false;

    const char* const target = p_;
    p_ = find_non_target(p_, stop_);
    const char* const target_end = p_;
    if (p_ == stop_) return short_of_bytes();
    if (p_ == target) return bad(Fault::kBadTarget, p_);
    if (*p_ == '\r' || *p_ == '\n') return bad(Fault::kNoVersion, p_);
    if (!expect_space(Fault::kBadTarget)) return false;

    if (!parse_version(request_.version)) return false;
    const char* const line_end = p_;
    if (!end_line(Fault::kBadStartLine)) return false;

    request_.method_text = slice(line, method_end);
    request_.method = find_method(text(request_.method_text));
    request_.target = slice(target, target_end);
    request_.start_line = slice(line, line_end);
    return check_target(target);
  }

  // RFC 9112 3.2: each form belongs to certain methods.
  bool check_target(const char* at) {
    const std::string_view target = text(request_.target);
    if (request_.method == Method::kConnect) {
      const std::size_t colon = target.rfind(':');
      const bool authority =
          colon != std::string_view::npos && colon != 0 && colon + 1 != target.size() &&
          target.find_first_of("/?@") == std::string_view::npos &&
          target.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
      return authority || bad(Fault::kBadTargetForm, at);
    }
    if (target.front() == '/') [[likely]]
      return true;
    if (target == "*" && request_.method == Method::kOptions) return true;
    if (!authority_of(target).empty()) return true;
    return bad(Fault::kBadTargetForm, at);
  }

  bool conclude() {
    const char* const end_of_head = p_ - 2;
    request_.host = host_;
    if (request_.has(FieldName::kHost)) {
      if (const char first = *(begin_ + request_.target.offset); first != '/' && first != '*') {
        if (!check_host_against_target()) return false;
      }
    } else if (request_.version == Version::kHttp11) {
      return bad(Fault::kHostMissing, end_of_head);
    }
    const bool http11 = request_.version == Version::kHttp11;
    if (chunked_) {
      request_.framing = Framing::kChunked;
    } else if (request_.has(FieldName::kContentLength)) {
      request_.framing = Framing::kLength;
    }
    // RFC 9110 9.3.6: what follows a CONNECT's head is the tunnel's, so no body can be announced.
    if (request_.method == Method::kConnect &&
        (chunked_ || (request_.framing == Framing::kLength && request_.content_length != 0))) {
      return bad(Fault::kConnectWithBody, end_of_head);
    }
    request_.keep_alive = keeps_alive(request_);
    // RFC 9110 7.8, 10.1.1: neither means anything in HTTP/1.0.
    request_.upgrade = http11 && connection_upgrade_ && request_.has(FieldName::kUpgrade);
    request_.expect_continue = http11 && expect_continue_;
    return true;
  }

  // RFC 9112 3.2.2 lets a proxy rewrite Host; servers behind us may look at either, so a client
  // that names two hosts is refused, as HAProxy does.
  bool check_host_against_target() {
    const std::string_view target = text(request_.target);
    const bool connect = request_.method == Method::kConnect;
    const std::string_view host = text(host_);
    const bool same = connect ? equal_ignoring_case(target, host) ||
                                    equal_ignoring_case(target.substr(0, target.rfind(':')), host)
                              : same_authority(target, authority_of(target), host);
    return same || bad(Fault::kHostMismatch, begin_ + host_.offset);
  }

  RequestHead& request_;
};

class ResponseReader : public Reader {
 public:
  ResponseReader(std::string_view bytes, const Limits& limits, ResponseHead& head)
      : Reader(bytes, limits, head), response_(head) {}

  ParseResult parse(Method request_method) {
    if (!parse_start_line() || !parse_fields()) return result_;
    conclude(request_method);
    return {Parse::kComplete, Fault::kNone, 0};
  }

 private:
  bool parse_start_line() {
    begin_line();
    const char* const line = p_;
    if (!parse_version(response_.version)) return false;
    if (!expect_space(Fault::kBadVersion)) return false;
    unsigned status = 0;
    for (int i = 0; i < 3; ++i, ++p_) {
      if (p_ == stop_) return short_of_bytes();
      if (!is_digit(*p_) || (i == 0 && *p_ == '0')) return bad(Fault::kBadStatus, p_);
      status = status * 10 + static_cast<unsigned>(*p_ - '0');
    }
    if (p_ == stop_) return short_of_bytes();
    // The space before an empty reason is often left out.
    if (*p_ == ' ') {
      ++p_;
    } else if (*p_ != '\r' && *p_ != '\n') {
      return bad(Fault::kBadStatus, p_);
    }
    const char* const reason = p_;
    p_ = find_non_text(p_, stop_);
    const char* const line_end = p_;
    if (!end_line(Fault::kControlInReason)) return false;
    response_.status = static_cast<std::uint16_t>(status);
    response_.reason = slice(reason, line_end);
    response_.start_line = slice(line, line_end);
    return true;
  }

  // RFC 9112 6.3, in its order.
  void conclude(Method request_method) {
    const unsigned status = response_.status;
    response_.tunnel =
        status == 101 || (request_method == Method::kConnect && status >= 200 && status < 300);
    response_.keep_alive = keeps_alive(response_);
    response_.upgrade = response_.version == Version::kHttp11 && connection_upgrade_ &&
                        response_.has(FieldName::kUpgrade);
    if (response_.tunnel || status < 200 || status == 204 || status == 304 ||
        request_method == Method::kHead) {
      response_.framing = Framing::kNone;
    } else if (chunked_) {
      response_.framing = Framing::kChunked;
    } else if (response_.has(FieldName::kContentLength)) {
      response_.framing = Framing::kLength;
    } else {
      response_.framing = Framing::kUntilClose;
      response_.keep_alive = false;
    }
    if (response_.tunnel) response_.keep_alive = false;
  }

  ResponseHead& response_;
};

}  // namespace

ParseResult parse_request(std::string_view bytes, const Limits& limits, RequestHead& out) {
  clear(out);
  out.expect_continue = false;
  return RequestReader(bytes, limits, out).parse();
}

ParseResult parse_response(std::string_view bytes, const Limits& limits, Method request_method,
                           ResponseHead& out) {
  clear(out);
  return ResponseReader(bytes, limits, out).parse(request_method);
}

bool is_idempotent(Method method) {
  switch (method) {
    case Method::kGet:
    case Method::kHead:
    case Method::kPut:
    case Method::kDelete:
    case Method::kOptions:
    case Method::kTrace:
      return true;
    case Method::kPost:
    case Method::kConnect:
    case Method::kPatch:
    case Method::kOther:
      return false;
  }
  return false;
}

FieldName find_field_name(std::string_view name) {
  const char* const p = name.data();
  switch (name.size()) {
    case 2:
      if (is(p, "te")) return FieldName::kTe;
      break;
    case 3:
      if (equal_ignoring_case(name, "via")) return FieldName::kVia;
      break;
    case 4:
      if (is(p, "host")) return FieldName::kHost;
      if (is(p, "date")) return FieldName::kDate;
      break;
    case 6:
      if (is(p, "accept")) return FieldName::kAccept;
      if (is(p, "cookie")) return FieldName::kCookie;
      if (is(p, "server")) return FieldName::kServer;
      if (is(p, "expect")) return FieldName::kExpect;
      break;
    case 7:
      if (is(p, "referer")) return FieldName::kReferer;
      if (is(p, "upgrade")) return FieldName::kUpgrade;
      if (is(p, "trailer")) return FieldName::kTrailer;
      break;
    case 8:
      if (is(p, "location")) return FieldName::kLocation;
      break;
    case 9:
      if (is(p, "forwarded")) return FieldName::kForwarded;
      break;
    case 10:
      if (is(p, "user-agent")) return FieldName::kUserAgent;
      if (is(p, "connection")) return FieldName::kConnection;
      if (is(p, "keep-alive")) return FieldName::kKeepAlive;
      if (is(p, "set-cookie")) return FieldName::kSetCookie;
      break;
    case 12:
      if (is(p, "content-type")) return FieldName::kContentType;
      break;
    case 13:
      if (is(p, "authorization")) return FieldName::kAuthorization;
      if (is(p, "cache-control")) return FieldName::kCacheControl;
      break;
    case 14:
      if (is(p, "content-length")) return FieldName::kContentLength;
      break;
    case 15:
      if (is(p, "accept-encoding")) return FieldName::kAcceptEncoding;
      if (is(p, "x-forwarded-for")) return FieldName::kXForwardedFor;
      break;
    case 16:
      if (is(p, "content-encoding")) return FieldName::kContentEncoding;
      if (is(p, "x-forwarded-host")) return FieldName::kXForwardedHost;
      if (is(p, "x-forwarded-port")) return FieldName::kXForwardedPort;
      if (is(p, "proxy-connection")) return FieldName::kProxyConnection;
      break;
    case 17:
      if (is(p, "x-forwarded-proto")) return FieldName::kXForwardedProto;
      if (is(p, "transfer-encoding")) return FieldName::kTransferEncoding;
      break;
    case 18:
      if (is(p, "proxy-authenticate")) return FieldName::kProxyAuthenticate;
      break;
    case 19:
      if (is(p, "proxy-authorization")) return FieldName::kProxyAuthorization;
      break;
    default:
      break;
  }
  return FieldName::kOther;
}

const Field* find_field(const MessageHead& head, const char* base, std::string_view name) {
  const FieldName known = find_field_name(name);
  if (known != FieldName::kOther) return find_field(head, known);
  for (const Field& field : head) {
    if (field.known == FieldName::kOther && equal_ignoring_case(field.name.in(base), name)) {
      return &field;
    }
  }
  return nullptr;
}

const Field* find_field(const MessageHead& head, FieldName name) {
  if (!head.has(name)) return nullptr;
  for (const Field& field : head) {
    if (field.known == name) return &field;
  }
  return nullptr;
}

bool connection_has_token(const MessageHead& head, const char* base, std::string_view token) {
  if (!head.has(FieldName::kConnection)) return false;
  bool found = false;
  for (const Field& field : head) {
    if (field.known != FieldName::kConnection) continue;
    for_each_element(field.value.in(base), [&](std::string_view option) {
      found = equal_ignoring_case(option, token);
      return !found;
    });
    if (found) return true;
  }
  return false;
}

std::uint16_t status_of(Fault fault) {
  return fault == Fault::kEncodingUnknown ? 501 : 400;  // RFC 9112 6.1
}

std::string_view describe(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "no fault";
    case Fault::kTooManyEmptyLines:
      return "too many empty lines before the request";
    case Fault::kBareCr:
      return "CR without LF";
    case Fault::kBareLf:
      return "LF without CR";
    case Fault::kHeadTooLarge:
      return "message head too large";
    case Fault::kLineTooLong:
      return "line too long";
    case Fault::kTooManyFields:
      return "too many header fields";
    case Fault::kBadMethod:
      return "invalid method";
    case Fault::kBadTarget:
      return "invalid byte in the request target";
    case Fault::kBadTargetForm:
      return "request target of a form that the method does not allow";
    case Fault::kNoVersion:
      return "no protocol version (HTTP/0.9)";
    case Fault::kBadVersion:
      return "protocol version is neither HTTP/1.0 nor HTTP/1.1";
    case Fault::kBadStatus:
      return "invalid status code";
    case Fault::kBadStartLine:
      return "unexpected bytes behind the protocol version";
    case Fault::kControlInReason:
      return "control byte in the reason phrase";
    case Fault::kObsFold:
      return "folded header line";
    case Fault::kEmptyName:
      return "empty header name";
    case Fault::kBadName:
      return "invalid byte in a header name";
    case Fault::kSpaceBeforeColon:
      return "white space between header name and colon";
    case Fault::kNulInValue:
      return "NUL in a header value";
    case Fault::kControlInValue:
      return "control byte in a header value";
    case Fault::kHostMissing:
      return "no Host header";
    case Fault::kHostRepeated:
      return "more than one Host header";
    case Fault::kHostInvalid:
      return "invalid byte in the Host header";
    case Fault::kHostMismatch:
      return "Host header differs from the request target";
    case Fault::kLengthEmpty:
      return "empty Content-Length";
    case Fault::kLengthSigned:
      return "Content-Length with a sign";
    case Fault::kLengthList:
      return "Content-Length is a list";
    case Fault::kLengthNotDigits:
      return "Content-Length is not a number";
    case Fault::kLengthOverflow:
      return "Content-Length too large";
    case Fault::kLengthRepeated:
      return "more than one Content-Length";
    case Fault::kLengthAndEncoding:
      return "both Content-Length and Transfer-Encoding";
    case Fault::kEncodingEmpty:
      return "empty element in Transfer-Encoding";
    case Fault::kEncodingRepeated:
      return "more than one Transfer-Encoding";
    case Fault::kEncodingNotFinal:
      return "last transfer coding is not chunked";
    case Fault::kEncodingUnknown:
      return "unknown transfer coding";
    case Fault::kEncodingInHttp10:
      return "Transfer-Encoding in HTTP/1.0";
    case Fault::kConnectWithBody:
      return "CONNECT request that announces a body";
    case Fault::kChunkSizeMissing:
      return "chunk without a size";
    case Fault::kChunkSizeInvalid:
      return "invalid byte in a chunk size";
    case Fault::kChunkSizeOverflow:
      return "chunk size too large";
    case Fault::kChunkExtensionInvalid:
      return "invalid byte in a chunk extension";
    case Fault::kChunkExtensionTooLong:
      return "chunk extension too long";
    case Fault::kChunkDataEnd:
      return "chunk data not followed by CRLF";
    case Fault::kTrailerInvalid:
      return "invalid trailer line";
    case Fault::kTrailerTooLarge:
      return "trailers too large";
    case Fault::kTrailerForbidden:
      return "trailer field that belongs into the head";
  }
  return "unknown fault";
}

}  // namespace nines::http
