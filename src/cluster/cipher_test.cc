// The published vectors, and what an altered byte does.
#include "cluster/cipher.h"

#include <gtest/gtest.h>

namespace nines::cluster {
namespace {

std::string bytes(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return out;
}

Secret secret_of(std::string_view hex) {
  const std::string raw = bytes(hex);
  Secret secret;
  for (std::size_t i = 0; i < kSecretSize; ++i) {
    secret.bytes()[i] = static_cast<std::uint8_t>(raw[i]);
  }
  return secret;
}

// RFC 8439, A.5.
TEST(CipherTest, ItIsChaCha20Poly1305) {
  auto cipher =
      Cipher::create(secret_of("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"));
  ASSERT_TRUE(cipher.has_value());
  const std::string text =
      "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
      "replaced, or obsoleted by other documents at any time. It is inappropriate to use "
      "Internet-Drafts as reference material or to cite them other than as /\xe2\x80\x9cwork in "
      "progress./\xe2\x80\x9d";
  ASSERT_EQ(text.size(), 265u);
  const std::string header = bytes("f33388860000000000004e91");
  std::string sealed;
  cipher->seal(0x0807060504030201, header, text, sealed);
  ASSERT_EQ(sealed.size(), text.size() + kTagSize);
  EXPECT_EQ(sealed.substr(0, 16), bytes("64a0861575861af460f062c79be643bd"));
  EXPECT_EQ(sealed.substr(text.size()), bytes("eead9d67890cbb22392336fea1851f38"));
  std::string opened;
  EXPECT_TRUE(cipher->open(0x0807060504030201, header, sealed, opened));
  EXPECT_EQ(opened, text);
}

TEST(CipherTest, NothingAlteredOpens) {
  auto cipher = Cipher::create(Secret());
  ASSERT_TRUE(cipher.has_value());
  std::string sealed, opened = "before";
  cipher->seal(7, "header", "text", sealed);
  EXPECT_FALSE(cipher->open(8, "header", sealed, opened));
  EXPECT_EQ(opened, "");
  EXPECT_FALSE(cipher->open(7, "headeR", sealed, opened));
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(cipher->open(7, "header", sealed.substr(0, size), opened)) << size;
  }
  EXPECT_TRUE(cipher->open(7, "header", sealed, opened));
  EXPECT_EQ(opened, "text");
}

TEST(CipherTest, ATextMayBeEmpty) {
  auto cipher = Cipher::create(Secret());
  ASSERT_TRUE(cipher.has_value());
  std::string sealed, opened;
  cipher->seal(1, "header", "", sealed);
  EXPECT_EQ(sealed.size(), kTagSize);
  EXPECT_TRUE(cipher->open(1, "header", sealed, opened));
  EXPECT_EQ(opened, "");
}

// RFC 5869, A.1 has a key of 22 bytes; these are what its definition gives for 32 zero bytes, made
// by Python's hmac.
TEST(CipherTest, KeysAreDerivedByHkdfSha256) {
  const auto derived = derive(Secret(), "salt", "info");
  ASSERT_TRUE(derived.has_value());
  EXPECT_EQ(*derived,
            secret_of("6fe931b1f37b88c0daf245d0cd72747a6e284a971a753c0a08d61389d09e64e1"));
  const auto plain = derive(Secret(), "", "info");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(*plain, secret_of("1060e4e72054653bf46623844033f5ccc9cff596a4a680e074ef4fd06aae60df"));
}

}  // namespace
}  // namespace nines::cluster
