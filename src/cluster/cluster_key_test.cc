// Key files, good and bad.
#include "cluster/cluster_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::cluster {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kHex = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
const std::string kSameInBase64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const std::string kOther = std::string(63, '0') + "1";

TEST(ClusterKeyTest, HexadecimalAndBase64SayTheSame) {
  const auto hex = parse_keys(kHex);
  const auto base64 = parse_keys(kSameInBase64 + "\n");
  ASSERT_TRUE(hex.has_value() && base64.has_value());
  ASSERT_EQ(hex->size(), 1u);
  EXPECT_EQ(hex->front().secret, base64->front().secret);
  EXPECT_EQ(hex->front().id, base64->front().id);
  for (std::size_t i = 0; i < kSecretSize; ++i) {
    EXPECT_EQ(hex->front().secret.bytes()[i], i);
  }
}

TEST(ClusterKeyTest, TwoKeysAndCommentsAreAllowed) {
  const auto keys = parse_keys("# new\n\n  " + kHex + "\t# since May\r\n" + kOther + "\n");
  ASSERT_TRUE(keys.has_value());
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_NE((*keys)[0].id, (*keys)[1].id);
}

TEST(ClusterKeyTest, WhatIsWrongIsSaidWithItsLineAndWithoutTheKey) {
  const auto complaint = [](const std::string& text) {
    const auto keys = parse_keys(text);
    return keys.has_value() ? "" : keys.error().message();
  };
  EXPECT_THAT(complaint(""), HasSubstr("nines cluster keygen"));
  EXPECT_THAT(complaint("# none\n"), HasSubstr("has no key"));
  EXPECT_THAT(complaint("#\n" + kHex.substr(1) + "\n"), HasSubstr("line 2: no key; allowed: 64"));
  EXPECT_THAT(complaint(kHex + "0"), HasSubstr("line 1: no key"));
  EXPECT_THAT(complaint(kHex + "0"), Not(HasSubstr("0001")));
  EXPECT_THAT(complaint("g" + kHex.substr(1)), HasSubstr("line 1: no key"));
  EXPECT_THAT(complaint(kSameInBase64.substr(0, 43) + "A"), HasSubstr("no key"));
  EXPECT_THAT(complaint(kSameInBase64.substr(0, 42) + "9="), HasSubstr("no key"));  // surplus bits
  EXPECT_THAT(complaint(kSameInBase64.substr(0, 20) + "*" + kSameInBase64.substr(21)),
              HasSubstr("no key"));
  EXPECT_THAT(complaint(std::string(64, '0')), HasSubstr("32 zero bytes"));
  EXPECT_THAT(complaint(kHex + "\n" + kSameInBase64), HasSubstr("line 2: the same key"));
  EXPECT_THAT(complaint(kHex + "\n" + kOther + "\n" + std::string(63, '0') + "2"),
              HasSubstr("line 3: a third key"));
  EXPECT_THAT(complaint(std::string(kKeyFileMax + 1, '#')), HasSubstr("larger than 4096"));
}

TEST(ClusterKeyTest, WhatIsWrittenIsRead) {
  const auto key = parse_keys(kHex);
  ASSERT_TRUE(key.has_value());
  const std::string text = key_file_text(key->front());
  EXPECT_THAT(text, HasSubstr(id_text(key->front().id)));
  const auto again = parse_keys(text);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->front().secret, key->front().secret);
  EXPECT_EQ(id_text(0x3f09ab), "003f09ab");
}

}  // namespace
}  // namespace nines::cluster
