// The nonce of 96 bits is 32 zero bits and the counter, little-endian, as TLS and WireGuard have
// it.
#include "cluster/cipher.h"

#include <utility>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/check.h"

namespace nines::cluster {

namespace {

constexpr std::size_t kNonceSize = 12;
using Nonce = std::array<unsigned char, kNonceSize>;

Nonce nonce_of(std::uint64_t number) {
  Nonce nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<unsigned char>(number >> 8 * i);
  return nonce;
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text, std::size_t at) {
  return reinterpret_cast<unsigned char*>(text.data()) + at;
}

// An empty text is not handed over: its null pointer would mean something else to OpenSSL.
bool update(EVP_CIPHER_CTX* context, unsigned char* out, std::string_view text) {
  int size = 0;
  return text.empty() ||
         EVP_CipherUpdate(context, out, &size, bytes_of(text), static_cast<int>(text.size())) == 1;
}

Error no_cipher() { return Error(ErrorCode::kSystem, "OpenSSL has no ChaCha20-Poly1305 to offer"); }

}  // namespace

Secret::~Secret() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

bool operator==(const Secret& a, const Secret& b) {
  return CRYPTO_memcmp(a.bytes_.data(), b.bytes_.data(), a.bytes_.size()) == 0;
}

Result<Secret> derive(const Secret& from, std::string_view salt, std::string_view info) {
  const Error failed(ErrorCode::kSystem, "OpenSSL cannot derive a key by HKDF-SHA256");
  EVP_KDF* const algorithm = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  if (algorithm == nullptr) return failed;
  EVP_KDF_CTX* const context = EVP_KDF_CTX_new(algorithm);
  EVP_KDF_free(algorithm);
  if (context == nullptr) return failed;
  // OpenSSL takes its inputs as pointers to what is not const, and only reads them.
  Secret key = from;
  std::string digest = "SHA256", salt_copy(salt), info_copy(info);
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.bytes().data(), kSecretSize),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt_copy.data(), salt_copy.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info_copy.data(), info_copy.size()),
      OSSL_PARAM_construct_end(),
  };
  Secret derived;
  const int done = EVP_KDF_derive(context, derived.bytes().data(), kSecretSize, parameters);
  EVP_KDF_CTX_free(context);
  if (done != 1) return failed;
  return derived;
}

void Cipher::Free::operator()(evp_cipher_ctx_st* context) const { EVP_CIPHER_CTX_free(context); }

Cipher::Cipher(Context sealing, Context opening)
    : sealing_(std::move(sealing)), opening_(std::move(opening)) {}

Result<Cipher> Cipher::create(const Secret& key) {
  Context sealing(EVP_CIPHER_CTX_new()), opening(EVP_CIPHER_CTX_new());
  if (!sealing || !opening) return no_cipher();
  const EVP_CIPHER* const algorithm = EVP_chacha20_poly1305();
  if (EVP_CipherInit_ex(sealing.get(), algorithm, nullptr, key.bytes().data(), nullptr, 1) != 1 ||
      EVP_CipherInit_ex(opening.get(), algorithm, nullptr, key.bytes().data(), nullptr, 0) != 1) {
    return no_cipher();
  }
  return Cipher(std::move(sealing), std::move(opening));
}

void Cipher::seal(std::uint64_t nonce, std::string_view header, std::string_view text,
                  std::string& out) {
  EVP_CIPHER_CTX* const context = sealing_.get();
  const Nonce number = nonce_of(nonce);
  const std::size_t begin = out.size();
  out.resize(begin + text.size() + kTagSize);
  unsigned char* const tag = bytes_of(out, begin + text.size());
  int size = 0;
  // None of these can fail with the key and the algorithm set up.
  CHECK(EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, number.data(), 1) == 1);
  CHECK(update(context, nullptr, header));
  CHECK(update(context, bytes_of(out, begin), text));
  CHECK(EVP_CipherFinal_ex(context, tag, &size) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, tag) == 1);
}

bool Cipher::open(std::uint64_t nonce, std::string_view header, std::string_view sealed,
                  std::string& out) {
  out.clear();
  if (sealed.size() < kTagSize) return false;
  EVP_CIPHER_CTX* const context = opening_.get();
  const Nonce number = nonce_of(nonce);
  const std::string_view text = sealed.substr(0, sealed.size() - kTagSize);
  std::array<unsigned char, kTagSize> tag;
  for (std::size_t i = 0; i < kTagSize; ++i) tag[i] = bytes_of(sealed)[text.size() + i];
  out.resize(text.size());
  unsigned char rest[kTagSize];
  int size = 0;
  CHECK(EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, number.data(), 0) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data()) == 1);
  CHECK(update(context, nullptr, header));
  CHECK(update(context, bytes_of(out, 0), text));
  if (EVP_CipherFinal_ex(context, rest, &size) == 1) return true;
  OPENSSL_cleanse(out.data(), out.size());
  out.clear();
  return false;
}

}  // namespace nines::cluster
