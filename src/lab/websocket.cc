// Frames and the handshake's hash.
#include "lab/websocket.h"

#include <bit>

namespace nines::lab {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // section 1.3
constexpr std::size_t kSmallLengthMax = 125;
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;

std::uint8_t byte_at(std::string_view bytes, std::size_t index) {
  return static_cast<std::uint8_t>(bytes[index]);
}

void sha1_block(std::array<std::uint32_t, 5>& state, std::string_view block) {
  std::array<std::uint32_t, 80> w;
  for (std::size_t t = 0; t < 16; ++t) {
    w[t] = static_cast<std::uint32_t>(byte_at(block, 4 * t)) << 24 |
           static_cast<std::uint32_t>(byte_at(block, 4 * t + 1)) << 16 |
           static_cast<std::uint32_t>(byte_at(block, 4 * t + 2)) << 8 | byte_at(block, 4 * t + 3);
  }
  for (std::size_t t = 16; t < 80; ++t) {
    w[t] = std::rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
  }
  auto [a, b, c, d, e] = state;
  for (std::size_t t = 0; t < 80; ++t) {
    std::uint32_t f = 0;
    std::uint32_t k = 0;
    if (t < 20) {
      f = (b & c) ^ (~b & d), k = 0x5a827999;
    } else if (t < 40) {
      f = b ^ c ^ d, k = 0x6ed9eba1;
    } else if (t < 60) {
      f = (b & c) ^ (b & d) ^ (c & d), k = 0x8f1bbcdc;
    } else {
      f = b ^ c ^ d, k = 0xca62c1d6;
    }
    const std::uint32_t next = std::rotl(a, 5) + f + e + k + w[t];
    e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

}  // namespace

std::array<std::uint8_t, 20> sha1(std::string_view bytes) {
  std::array<std::uint32_t, 5> state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::string padded(bytes);
  padded += '\x80';
  while (padded.size() % 64 != 56) padded += '\0';
  const std::uint64_t bits = static_cast<std::uint64_t>(bytes.size()) * 8;
  for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(bits >> shift);
  for (std::size_t at = 0; at < padded.size(); at += 64) {
    sha1_block(state, std::string_view(padded).substr(at, 64));
  }
  std::array<std::uint8_t, 20> digest;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? byte_at(bytes, i + j) : 0);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += j <= count ? kAlphabet[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

std::string websocket_accept(std::string_view key) {
  const auto digest = sha1(std::string(key) + std::string(kGuid));
  return base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

WebSocketStep take_websocket_frame(std::string& bytes, WebSocketFrame& out) {
  if (bytes.size() < 2) return WebSocketStep::kMore;
  const std::uint8_t first = byte_at(bytes, 0);
  const std::uint8_t second = byte_at(bytes, 1);
  if ((first & 0x70) != 0) return WebSocketStep::kBad;  // reserved bits: no extension was agreed
  std::size_t at = 2;
  std::uint64_t size = second & 0x7f;
  const std::size_t extra = size == kLength16 ? 2 : size == kLength64 ? 8 : 0;
  if (bytes.size() < at + extra) return WebSocketStep::kMore;
  if (extra > 0) {
    size = 0;
    for (std::size_t i = 0; i < extra; ++i) size = size << 8 | byte_at(bytes, at + i);
    at += extra;
  }
  if (size > kWebSocketPayloadMax) return WebSocketStep::kBad;
  const bool masked = (second & 0x80) != 0;
  std::array<std::uint8_t, 4> mask{};
  if (masked) {
    if (bytes.size() < at + mask.size()) return WebSocketStep::kMore;
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = byte_at(bytes, at + i);
    at += mask.size();
  }
  if (bytes.size() - at < size) return WebSocketStep::kMore;
  out.final = (first & 0x80) != 0;
  out.opcode = static_cast<WebSocketOpcode>(first & 0x0f);
  out.masked = masked;
  out.payload = bytes.substr(at, size);
  for (std::size_t i = 0; i < out.payload.size(); ++i) {
    out.payload[i] = static_cast<char>(byte_at(out.payload, i) ^ mask[i % 4]);
  }
  bytes.erase(0, at + size);
  return WebSocketStep::kFrame;
}

std::string make_websocket_frame(WebSocketOpcode opcode, std::string_view payload,
                                 std::optional<std::uint32_t> mask, bool final) {
  std::string out;
  out += static_cast<char>((final ? 0x80 : 0) | static_cast<std::uint8_t>(opcode));
  const std::uint8_t mask_bit = mask ? 0x80 : 0;
  int extra = 0;
  if (payload.size() <= kSmallLengthMax) {
    out += static_cast<char>(mask_bit | payload.size());
  } else {
    extra = payload.size() <= UINT16_MAX ? 2 : 8;
    out += static_cast<char>(mask_bit | (extra == 2 ? kLength16 : kLength64));
  }
  for (int i = extra - 1; i >= 0; --i) {
    out += static_cast<char>(static_cast<std::uint64_t>(payload.size()) >> (8 * i));
  }
  if (!mask) return out.append(payload);
  std::array<std::uint8_t, 4> key;
  for (std::size_t i = 0; i < 4; ++i) key[i] = static_cast<std::uint8_t>(*mask >> (24 - 8 * i));
  for (const auto each : key) out += static_cast<char>(each);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out += static_cast<char>(byte_at(payload, i) ^ key[i % 4]);
  }
  return out;
}

}  // namespace nines::lab
