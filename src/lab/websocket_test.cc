// The examples of RFC 6455 and FIPS 180-4, and frames cut anywhere.
#include "lab/websocket.h"

#include <string>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

using namespace std::string_literals;

std::string hex(const std::array<std::uint8_t, 20>& digest) {
  std::string out;
  for (const auto each : digest) {
    out += "0123456789abcdef"[each >> 4];
    out += "0123456789abcdef"[each & 15];
  }
  return out;
}

TEST(WebSocket, HashOfTheStandardsExamples) {
  EXPECT_EQ(hex(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex(sha1("")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(hex(sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}

TEST(WebSocket, AcceptOfTheRfcsExample) {
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocket, Base64PadsAsItMust) {
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64(""), "");
}

TEST(WebSocket, MaskedHelloOfTheRfc) {
  const std::string expected = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"s;
  EXPECT_EQ(make_websocket_frame(WebSocketOpcode::kText, "Hello", 0x37fa213d), expected);
}

TEST(WebSocket, FramesOfEveryLengthFormComeBackHoweverTheyAreCut) {
  for (const std::size_t size : {0u, 1u, 125u, 126u, 65535u, 65536u}) {
    const std::string payload(size, 'x');
    const std::string sent = make_websocket_frame(WebSocketOpcode::kBinary, payload, 0x01020304);
    std::string bytes = sent.substr(0, sent.size() - 1);
    WebSocketFrame frame;
    EXPECT_EQ(take_websocket_frame(bytes, frame), WebSocketStep::kMore);
    bytes += sent.back();
    bytes += "rest";
    ASSERT_EQ(take_websocket_frame(bytes, frame), WebSocketStep::kFrame);
    EXPECT_EQ(frame.payload, payload);
    EXPECT_TRUE(frame.masked);
    EXPECT_TRUE(frame.final);
    EXPECT_EQ(bytes, "rest");
  }
}

TEST(WebSocket, ReservedBitsAndHugeLengthsAreBad) {
  WebSocketFrame frame;
  std::string reserved = "\xc1\x00"s;
  EXPECT_EQ(take_websocket_frame(reserved, frame), WebSocketStep::kBad);
  std::string huge = "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"s;
  EXPECT_EQ(take_websocket_frame(huge, frame), WebSocketStep::kBad);
}

}  // namespace
}  // namespace nines::lab
