// WebSocket (RFC 6455) as far as an echoing stand-in and its client need it: the handshake's proof,
// and frames of at most kWebSocketPayloadMax. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nines::lab {

inline constexpr std::size_t kWebSocketPayloadMax = 1u << 20;

// SHA-1 (FIPS 180-4): demanded by the handshake, and good for nothing that needs to be secure.
std::array<std::uint8_t, 20> sha1(std::string_view bytes);
std::string base64(std::string_view bytes);

// Section 4.2.2, item 5.4: what the server proves with, from the client's Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

// Section 5.2, and 11.8 for the numbers.
enum class WebSocketOpcode : std::uint8_t {
  kContinuation = 0x0,
  kText = 0x1,
  kBinary = 0x2,
  kClose = 0x8,
  kPing = 0x9,
  kPong = 0xa
};

struct WebSocketFrame {
  bool final = true;
  WebSocketOpcode opcode = WebSocketOpcode::kText;
  bool masked = false;
  std::string payload;  // unmasked
};

enum class WebSocketStep : std::uint8_t { kFrame, kMore, kBad };

// Takes one frame from the front of `bytes`; on kFrame removes it from there.
WebSocketStep take_websocket_frame(std::string& bytes, WebSocketFrame& out);

// `mask`: clients must (section 5.1), servers must not.
std::string make_websocket_frame(WebSocketOpcode opcode, std::string_view payload,
                                 std::optional<std::uint32_t> mask, bool final = true);

}  // namespace nines::lab
