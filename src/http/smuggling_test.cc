// Messages that two parsers could read differently. Each is refused, for the reason named; the few
// that look strange and are harmless are let through.
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "http/chunked.h"
#include "http/message.h"

namespace nines::http {
namespace {

using namespace std::literals;

struct Case {
  const char* name;
  std::string bytes;
  Fault fault;  // kNone: passes
};

// A POST with these field lines behind Host.
std::string post(std::string_view fields, std::string_view body = "") {
  return std::string("POST / HTTP/1.1\r\nHost: a\r\n").append(fields).append("\r\n").append(body);
}
std::string chunked(std::string_view body) { return post("Transfer-Encoding: chunked\r\n", body); }
std::string get(std::string_view rest) { return std::string("GET / HTTP/1.1\r\n").append(rest); }

// The fault of a request with its body.
Fault fault_of(std::string_view bytes) {
  const auto head = std::make_unique<RequestHead>();
  const ParseResult result = parse_request(bytes, Limits{}, *head);
  if (result.status == Parse::kBad) return result.fault;
  EXPECT_EQ(result.status, Parse::kComplete);
  if (head->framing != Framing::kChunked) return Fault::kNone;
  return ChunkScanner().feed(bytes.substr(head->size)).fault;
}

class Smuggling : public testing::TestWithParam<Case> {};

TEST_P(Smuggling, IsAnsweredWith) {
  EXPECT_EQ(describe(fault_of(GetParam().bytes)), describe(GetParam().fault));
}

const Case kCases[] = {
    // Two framings
    {"LengthThenEncoding",
     post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"),
     Fault::kLengthAndEncoding},
    {"EncodingThenLength",
     post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\nG"),
     Fault::kLengthAndEncoding},
    {"LengthZeroAndEncoding", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
     Fault::kLengthAndEncoding},
    {"LengthAndEncodingInOtherCase", post("content-LENGTH: 4\r\ntransfer-ENCODING: chunked\r\n"),
     Fault::kLengthAndEncoding},
    {"EncodingInHttp10", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     Fault::kEncodingInHttp10},
    // Lengths
    {"LengthsDiffer", post("Content-Length: 3\r\nContent-Length: 4\r\n"), Fault::kLengthRepeated},
    {"LengthsAgree", post("Content-Length: 3\r\nContent-Length: 3\r\n"), Fault::kLengthRepeated},
    {"LengthListAgrees", post("Content-Length: 3, 3\r\n"), Fault::kLengthList},
    {"LengthListDiffers", post("Content-Length: 3,4\r\n"), Fault::kLengthList},
    {"LengthPlus", post("Content-Length: +3\r\n"), Fault::kLengthSigned},
    {"LengthMinus", post("Content-Length: -3\r\n"), Fault::kLengthSigned},
    {"LengthMinusZero", post("Content-Length: -0\r\n"), Fault::kLengthSigned},
    {"LengthEmpty", post("Content-Length:\r\n"), Fault::kLengthEmpty},
    {"LengthSpaces", post("Content-Length:  \t \r\n"), Fault::kLengthEmpty},
    {"LengthHex", post("Content-Length: 0x3\r\n"), Fault::kLengthNotDigits},
    {"LengthSpaced", post("Content-Length: 3 0\r\n"), Fault::kLengthNotDigits},
    {"LengthFraction", post("Content-Length: 3.0\r\n"), Fault::kLengthNotDigits},
    {"LengthExponent", post("Content-Length: 1e1\r\n"), Fault::kLengthNotDigits},
    {"LengthUnderscore", post("Content-Length: 1_0\r\n"), Fault::kLengthNotDigits},
    {"LengthQuoted", post("Content-Length: \"3\"\r\n"), Fault::kLengthNotDigits},
    {"LengthOverflowsSigned", post("Content-Length: 9223372036854775808\r\n"),
     Fault::kLengthOverflow},
    {"LengthWrapsAround", post("Content-Length: 18446744073709551619\r\n"), Fault::kLengthOverflow},
    {"LengthVerticalTab", post("Content-Length: \v3\r\n"), Fault::kControlInValue},
    {"LengthNul", post("Content-Length: 3\0\r\n"sv), Fault::kNulInValue},
    {"LengthSpaceBeforeColon", post("Content-Length : 3\r\n", "abc"), Fault::kSpaceBeforeColon},
    {"LengthFolded", post("Content-Length:\r\n 3\r\n", "abc"), Fault::kLengthEmpty},
    // Encodings
    {"EncodingSpaceBeforeColon", post("Transfer-Encoding : chunked\r\n"), Fault::kSpaceBeforeColon},
    {"EncodingTabBeforeColon", post("Transfer-Encoding\t: chunked\r\n"), Fault::kSpaceBeforeColon},
    {"EncodingVerticalTab", post("Transfer-Encoding: \vchunked\r\n"), Fault::kControlInValue},
    {"EncodingNulBehind", post("Transfer-Encoding: chunked\0\r\n"sv), Fault::kNulInValue},
    {"EncodingUnknown", post("Transfer-Encoding: xchunked\r\n"), Fault::kEncodingNotFinal},
    {"EncodingIdentity", post("Transfer-Encoding: identity\r\n"), Fault::kEncodingNotFinal},
    {"EncodingQuoted", post("Transfer-Encoding: \"chunked\"\r\n"), Fault::kEncodingNotFinal},
    {"EncodingParameter", post("Transfer-Encoding: chunked;q=1\r\n"), Fault::kEncodingNotFinal},
    {"EncodingNotLast", post("Transfer-Encoding: chunked, gzip\r\n"), Fault::kEncodingNotFinal},
    {"EncodingGzipThenChunked", post("Transfer-Encoding: gzip, chunked\r\n"),
     Fault::kEncodingUnknown},
    {"EncodingTwice", post("Transfer-Encoding: chunked, chunked\r\n"), Fault::kEncodingRepeated},
    {"EncodingTwoFields", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
     Fault::kEncodingRepeated},
    {"EncodingSecondFieldUnknown", post("Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n"),
     Fault::kEncodingRepeated},
    {"EncodingCommaBehind", post("Transfer-Encoding: chunked,\r\n"), Fault::kEncodingEmpty},
    {"EncodingCommaBefore", post("Transfer-Encoding: ,chunked\r\n"), Fault::kEncodingEmpty},
    {"EncodingEmpty", post("Transfer-Encoding:\r\n"), Fault::kEncodingEmpty},
    {"EncodingFolded", post("Transfer-Encoding:\r\n chunked\r\n"), Fault::kEncodingEmpty},
    {"EncodingFoldedLater", post("Transfer-Encoding: chunked\r\n , gzip\r\n"), Fault::kObsFold},
    {"EncodingInAFold", post("X: y\r\n Transfer-Encoding: chunked\r\n"), Fault::kObsFold},
    {"EncodingBehindABareLf", post("X: y\nTransfer-Encoding: chunked\r\n"), Fault::kBareLf},
    {"EncodingBehindABareCr", post("X: y\rTransfer-Encoding: chunked\r\n"), Fault::kBareCr},
    {"EncodingBehindCrCrLf", post("X: y\r\r\nTransfer-Encoding: chunked\r\n"), Fault::kBareCr},
    {"EncodingNameWithNul", post("Transfer-Encoding\0: chunked\r\n"sv), Fault::kBadName},
    {"EncodingNameWithHighByte", post("Transfer-Encoding\xa0: chunked\r\n"), Fault::kBadName},
    {"EncodingOtherCasePasses", post("transfer-encoding:CHUNKED \r\n", "0\r\n\r\n"), Fault::kNone},
    {"EncodingWithUnderscorePasses", post("Transfer_Encoding: chunked\r\n"), Fault::kNone},
    // Lines
    {"FirstLineIsFolded", get(" Host: a\r\n\r\n"), Fault::kObsFold},
    {"HeadEndsWithBareLf", get("Host: a\r\n\n"), Fault::kBareLf},
    {"StartLineEndsWithBareLf", "GET / HTTP/1.1\nHost: a\r\n\r\n", Fault::kBareLf},
    {"BareLfInFront", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kBareLf},
    {"LineWithoutColon", get("Host: a\r\nGET /admin HTTP/1.1\r\n\r\n"), Fault::kSpaceBeforeColon},
    {"NameIsEmpty", get("Host: a\r\n: b\r\n\r\n"), Fault::kEmptyName},
    {"NameWithBrackets", get("Host: a\r\nX[a]: b\r\n\r\n"), Fault::kBadName},
    // Start line
    {"TwoSpaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kBadTarget},
    {"SpaceInTarget", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kBadVersion},
    {"TabForSpace", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kBadMethod},
    {"SpaceBehindVersion", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Fault::kBadStartLine},
    {"RequestWithinTarget", "GET /\rGET HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kNoVersion},
    {"NulInTarget", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, Fault::kBadTarget},
    {"HighByteInTarget", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kBadTarget},
    {"FragmentInTarget", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kBadTarget},
    {"Http09", "GET /\r\n\r\n", Fault::kNoVersion},
    {"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Fault::kBadVersion},
    {"VersionOfTwoDigits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", Fault::kBadStartLine},
    // Whom it is for
    {"NoHost", get("X: y\r\n\r\n"), Fault::kHostMissing},
    {"TwoHosts", get("Host: a\r\nHost: b\r\n\r\n"), Fault::kHostRepeated},
    {"TwoEqualHosts", get("Host: a\r\nhost: a\r\n\r\n"), Fault::kHostRepeated},
    {"HostList", get("Host: a, b\r\n\r\n"), Fault::kHostInvalid},
    {"HostWithPath", get("Host: a/b\r\n\r\n"), Fault::kHostInvalid},
    {"HostWithUser", get("Host: u@a\r\n\r\n"), Fault::kHostInvalid},
    {"AbsoluteTargetForAnotherHost", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
     Fault::kHostMismatch},
    {"ConnectWithLength", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\n\r\nabc",
     Fault::kConnectWithBody},
    {"ConnectWithChunks",
     "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     Fault::kConnectWithBody},
    // Chunks
    {"ChunkSizeWrapsAround", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"),
     Fault::kChunkSizeOverflow},
    {"ChunkSizePrefix", chunked("0x3\r\nabc\r\n0\r\n\r\n"), Fault::kChunkSizeInvalid},
    {"ChunkSizeMinus", chunked("-3\r\nabc\r\n0\r\n\r\n"), Fault::kChunkSizeInvalid},
    {"ChunkSizeEmpty", chunked("\r\n0\r\n\r\n"), Fault::kChunkSizeMissing},
    {"ChunkSizeBareLf", chunked("3\nabc\r\n0\r\n\r\n"), Fault::kBareLf},
    {"ChunkExtensionBareLf", chunked("3;a\nabc\r\n0\r\n\r\n"), Fault::kBareLf},
    {"ChunkExtensionBareCr", chunked("3;a\rX\r\nabc\r\n0\r\n\r\n"), Fault::kBareCr},
    {"ChunkDataTooLong", chunked("3\r\nabcd\r\n0\r\n\r\n"), Fault::kChunkDataEnd},
    {"ChunkDataBareLf", chunked("3\r\nabc\n0\r\n\r\n"), Fault::kBareLf},
    {"TrailerLength", chunked("0\r\nContent-Length: 9\r\n\r\n"), Fault::kTrailerForbidden},
    {"TrailerFolded", chunked("0\r\nX: y\r\n z\r\n\r\n"), Fault::kObsFold},
    {"ChunkPaddingPasses", chunked("3  \r\nabc\r\n0\r\n\r\n"), Fault::kNone},
};

INSTANTIATE_TEST_SUITE_P(Table, Smuggling, testing::ValuesIn(kCases),
                         [](const testing::TestParamInfo<Case>& each) { return each.param.name; });

}  // namespace
}  // namespace nines::http
