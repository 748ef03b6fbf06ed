// ChaCha20-Poly1305 (RFC 8439) and HKDF-SHA256 (RFC 5869) by OpenSSL, behind the few calls that
// sealing needs. No randomness is taken here: nonces are the caller's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_cipher_ctx_st;

namespace nines::cluster {

inline constexpr std::size_t kSecretSize = 32;
inline constexpr std::size_t kTagSize = 16;  // a Poly1305 tag

// 32 secret bytes; wiped when they go.
class Secret {
 public:
  using Bytes = std::array<std::uint8_t, kSecretSize>;

  Secret() = default;
  explicit Secret(const Bytes& bytes) : bytes_(bytes) {}
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret();

  const Bytes& bytes() const { return bytes_; }
  Bytes& bytes() { return bytes_; }
  // In constant time.
  friend bool operator==(const Secret& a, const Secret& b);

 private:
  Bytes bytes_{};
};

// HKDF: one secret from another, different for each salt and each info. kSystem: OpenSSL failed,
// which it does for want of memory or of the algorithm alone.
Result<Secret> derive(const Secret& from, std::string_view salt, std::string_view info);

// One key at work. Not thread-safe.
class Cipher {
 public:
  // kSystem as above.
  static Result<Cipher> create(const Secret& key);

  // Appends `text` encrypted, and the tag over it and `header`. A nonce must not come again with
  // the same key.
  void seal(std::uint64_t nonce, std::string_view header, std::string_view text, std::string& out);
  // Replaces `out` by the text within; false, and `out` empty: not sealed by this key with this
  // nonce and header. The tag is compared in constant time.
  [[nodiscard]] bool open(std::uint64_t nonce, std::string_view header, std::string_view sealed,
                          std::string& out);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_cipher_ctx_st, Free>;

  Cipher(Context sealing, Context opening);

  Context sealing_, opening_;  // the key is set up in both
};

}  // namespace nines::cluster
