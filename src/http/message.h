// HTTP/1.1 message heads: where everything is, and how the body behind is framed. Bytes in, offsets
// out: nothing is copied and nothing allocated, and what is ambiguous is refused, never guessed
// (RFC 9112, RFC 9110).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace nines::http {

enum class Version : std::uint8_t { kHttp10, kHttp11 };

enum class Method : std::uint8_t {
  kGet,
  kHead,
  kPost,
  kPut,
  kDelete,
  kConnect,
  kOptions,
  kTrace,
  kPatch,
  kOther,  // any other token; its text is in RequestHead::method_text
};

// RFC 9110 9.2.2: sending it twice does what sending it once does. kOther: unknown, so no.
bool is_idempotent(Method method);

// Names that the codec or the proxy treats specially, found without regard to case.
enum class FieldName : std::uint8_t {
  kOther,
  kAccept,
  kAcceptEncoding,
  kAuthorization,
  kCacheControl,
  kConnection,
  kContentEncoding,
  kContentLength,
  kContentType,
  kCookie,
  kDate,
  kExpect,
  kForwarded,
  kHost,
  kKeepAlive,
  kLocation,
  kProxyAuthenticate,
  kProxyAuthorization,
  kProxyConnection,
  kReferer,
  kServer,
  kSetCookie,
  kTe,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
  kVia,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedPort,
  kXForwardedProto,
};
FieldName find_field_name(std::string_view name);

// A part of the bytes that were parsed, by offset from their first byte, so that it stays true when
// the buffer moves.
struct Slice {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  std::string_view in(const char* base) const { return {base + offset, size}; }
};

struct Field {
  Slice name;
  Slice value;  // without the white space around it
  Slice line;   // from the name up to and including CRLF
  FieldName known = FieldName::kOther;
};

inline constexpr std::uint32_t kFieldsMax = 101;      // what a head can hold
inline constexpr std::uint32_t kLeadingLinesMax = 4;  // empty lines skipped before a request
inline constexpr std::uint64_t kContentLengthMax = INT64_MAX;

struct Limits {
  // HAProxy tune.bufsize - tune.maxrewrite: what its head may be.
  std::uint32_t head_bytes = 16384 - 1024;  // the whole head with its empty line
  std::uint32_t line_bytes = 16384 - 1024;  // a line without CRLF
  // HAProxy tune.http.maxhdr (101) counts the end of the head too. Never more than kFieldsMax.
  std::uint32_t fields = 100;
};

enum class Framing : std::uint8_t {
  kNone,        // no body
  kLength,      // content_length bytes; may be 0
  kChunked,     // see chunked.h
  kUntilClose,  // responses only: the body ends with the connection
};

// What both kinds of message have. Big (kFieldsMax fields): keep one per worker and reuse it;
// parsing writes only what it found.
struct MessageHead {
  Version version = Version::kHttp11;
  Framing framing = Framing::kNone;
  bool keep_alive = false;  // the peer lets the connection go on: its version and its Connection
  bool upgrade = false;     // Connection says upgrade and an Upgrade field is there (HTTP/1.1 only)
  bool connection_close = false;         // Connection has close
  bool connection_keep_alive = false;    // Connection has keep-alive
  bool connection_names_fields = false;  // Connection has further tokens: hop-by-hop fields
  std::uint32_t leading = 0;             // bytes of empty lines in front, not part of the message
  std::uint32_t size = 0;  // bytes from the first parsed (leading too) past the empty line
  std::uint32_t field_count = 0;
  Slice start_line;                  // without CRLF
  std::uint64_t content_length = 0;  // the field's value, even if framing says that no body follows
  std::uint64_t known_seen = 0;      // a bit for each FieldName that occurred
  std::array<Field, kFieldsMax> fields;

  bool has(FieldName name) const { return (known_seen >> static_cast<unsigned>(name)) & 1; }
  const Field* begin() const { return fields.data(); }
  const Field* end() const { return fields.data() + field_count; }
};

struct RequestHead : MessageHead {
  Method method = Method::kOther;
  bool expect_continue = false;  // Expect: 100-continue, HTTP/1.1 only
  Slice method_text;
  Slice target;  // as it came: origin, absolute, authority (CONNECT) or asterisk form
  Slice host;    // value of the Host field; empty if there is none (HTTP/1.0)
};

struct ResponseHead : MessageHead {
  std::uint16_t status = 0;  // 100..999
  bool tunnel = false;       // from here on bytes, no messages: 101, or 2xx to CONNECT
  Slice reason;              // may be empty
  bool interim() const { return status < 200 && status != 101; }
};

enum class Parse : std::uint8_t { kComplete, kNeedMore, kBad };

// One for each rule, so that logs, `show errors` and tests can tell them apart.
enum class Fault : std::uint8_t {
  kNone,
  // Lines
  kTooManyEmptyLines,  // more than kLeadingLinesMax before a request
  kBareCr,             // CR without LF
  kBareLf,             // LF without CR
  kHeadTooLarge,
  kLineTooLong,
  kTooManyFields,
  // Start line
  kBadMethod,      // not a token
  kBadTarget,      // a byte that no target may have, or an empty one
  kBadTargetForm,  // neither of the four forms, or one that its method does not allow
  kNoVersion,      // HTTP/0.9
  kBadVersion,     // anything but HTTP/1.0 and HTTP/1.1
  kBadStatus,      // not three digits from 100
  kBadStartLine,   // bytes where none belong
  kControlInReason,
  // Fields
  kObsFold,  // a line that continues the one before
  kEmptyName,
  kBadName,  // not a token, or no colon
  kSpaceBeforeColon,
  kNulInValue,
  kControlInValue,
  // Host
  kHostMissing,
  kHostRepeated,
  kHostInvalid,
  kHostMismatch,  // an absolute target names another
  // Framing
  kLengthEmpty,
  kLengthSigned,
  kLengthList,
  kLengthNotDigits,
  kLengthOverflow,     // above kContentLengthMax
  kLengthRepeated,     // even if both say the same
  kLengthAndEncoding,  // Content-Length and Transfer-Encoding
  kEncodingEmpty,
  kEncodingRepeated,  // two fields, or chunked twice
  kEncodingNotFinal,  // the last coding is not chunked: the end is unknown
  kEncodingUnknown,   // chunked at last, and another coding before it
  kEncodingInHttp10,
  kConnectWithBody,  // a CONNECT request that announces one
  // Chunks (chunked.h)
  kChunkSizeMissing,
  kChunkSizeInvalid,
  kChunkSizeOverflow,
  kChunkExtensionInvalid,
  kChunkExtensionTooLong,
  kChunkDataEnd,  // no CRLF behind the data
  kTrailerInvalid,
  kTrailerTooLarge,
  kTrailerForbidden,  // a field that would change the framing or the routing
};

// For people: a short phrase, static storage.
std::string_view describe(Fault fault);
// The status a client gets for it in a request: 400, or 501 for a coding that we do not know.
std::uint16_t status_of(Fault fault);

struct ParseResult {
  Parse status = Parse::kNeedMore;
  Fault fault = Fault::kNone;
  std::uint32_t position = 0;  // kBad: offset of the byte that broke the rule
};

// Parse a head at the beginning of `bytes`; what follows the head is not looked at. Without state:
// on kNeedMore call again with more bytes and the same beginning. A prefix of a message is answered
// with kNeedMore or with the very fault that the whole gets. `out` is meaningful on kComplete only.
ParseResult parse_request(std::string_view bytes, const Limits& limits, RequestHead& out);
// `request_method` is that of the request which this answers: HEAD and CONNECT change the framing.
ParseResult parse_response(std::string_view bytes, const Limits& limits, Method request_method,
                           ResponseHead& out);

// The first field of that name, or nullptr. `base` is the first byte that was parsed.
const Field* find_field(const MessageHead& head, const char* base, std::string_view name);
const Field* find_field(const MessageHead& head, FieldName name);  // not for kOther
// Whether any Connection field lists `token`, without regard to case.
bool connection_has_token(const MessageHead& head, const char* base, std::string_view token);

}  // namespace nines::http
