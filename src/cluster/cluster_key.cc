// Hexadecimal or base64, told apart by their lengths.
#include "cluster/cluster_key.h"

#include <optional>

namespace nines::cluster {

namespace {

constexpr std::string_view kIdInfo = "nines cluster 1: id";
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::size_t kHexLength = 2 * kSecretSize;
constexpr std::size_t kBase64Length = 44;  // of 32 bytes: 43 characters and one '='

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

std::optional<Secret> from_hex(std::string_view text) {
  Secret secret;
  for (std::size_t i = 0; i < kSecretSize; ++i) {
    const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    secret.bytes()[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return secret;
}

// One way to write a key only: the two bits that the last digit has too many are zero.
std::optional<Secret> from_base64(std::string_view text) {
  if (text.back() != '=') return std::nullopt;
  text.remove_suffix(1);
  Secret secret;
  std::uint32_t held = 0;
  int bits = 0;
  std::size_t at = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    held = (held << 6 | static_cast<std::uint32_t>(digit)) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    secret.bytes()[at++] = static_cast<std::uint8_t>(held >> bits);
  }
  if ((held & 3) != 0) return std::nullopt;
  return secret;
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  if (const auto comment = line.find('#'); comment != line.npos) line = line.substr(0, comment);
  while (!line.empty() && kBlank.find(line.front()) != kBlank.npos) line.remove_prefix(1);
  while (!line.empty() && kBlank.find(line.back()) != kBlank.npos) line.remove_suffix(1);
  return line;
}

Error wrong(int line, std::string_view what) {
  return Error(ErrorCode::kInvalid, "line " + std::to_string(line) + ": " + std::string(what));
}

}  // namespace

Result<ClusterKey> make_key(const Secret& secret) {
  const Secret derived = TRY(derive(secret, {}, kIdInfo));
  ClusterKey key{.secret = secret};
  for (std::size_t i = 0; i < 4; ++i) key.id = key.id << 8 | derived.bytes()[i];
  return key;
}

std::string id_text(std::uint32_t id) {
  std::string text(8, '0');
  for (std::size_t i = 0; i < 8; ++i) text[7 - i] = kHexDigits[id >> 4 * i & 15];
  return text;
}

Result<ClusterKeys> parse_keys(std::string_view text) {
  if (text.size() > kKeyFileMax) {
    return Error(ErrorCode::kInvalid, "is larger than " + std::to_string(kKeyFileMax) +
                                          " bytes: one key or two are expected, one on a line");
  }
  ClusterKeys keys;
  for (int line = 1; !text.empty(); ++line) {
    const auto end = text.find('\n');
    const std::string_view word = trimmed(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    if (word.empty()) continue;
    std::optional<Secret> secret;
    if (word.size() == kHexLength) secret = from_hex(word);
    if (word.size() == kBase64Length) secret = from_base64(word);
    if (!secret) {
      return wrong(line,
                   "no key; allowed: 64 hexadecimal digits, or 44 characters of base64 that end in "
                   "'=' (32 bytes)");
    }
    if (*secret == Secret()) return wrong(line, "32 zero bytes are no key; use 'cluster keygen'");
    if (keys.size() == kKeysMax) {
      return wrong(line,
                   "a third key; allowed: one, or two while one is replaced (the first "
                   "seals, both open)");
    }
    ClusterKey key = TRY(make_key(*secret));
    if (!keys.empty() && keys.front().id == key.id) {
      return wrong(line, "the same key as before; two different ones are allowed");
    }
    keys.push_back(std::move(key));
  }
  if (keys.empty()) {
    return Error(ErrorCode::kInvalid, "has no key; make one with 'nines cluster keygen FILE'");
  }
  return keys;
}

std::string key_file_text(const ClusterKey& key) {
  std::string text =
      "# The cluster's key, the same on all its controllers. Keep it secret: whoever has it can\n"
      "# speak as any of them. Its id, which is no secret, is " +
      id_text(key.id) + ".\n";
  return text + secret_text(key.secret) + "\n";
}

std::string secret_text(const Secret& secret) {
  std::string text;
  for (const std::uint8_t byte : secret.bytes()) {
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 15];
  }
  return text;
}

}  // namespace nines::cluster
