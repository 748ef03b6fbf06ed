// Basic credentials: who is let in, and who is not.
#include "http/auth.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace nines::http {
namespace {

std::string decoded(std::string_view text) {
  std::array<char, 64> buffer;
  const auto size = decode_base64(text, buffer);
  return size ? std::string(buffer.data(), *size) : "refused";
}

TEST(Base64, VectorsOfRfc4648) {
  EXPECT_EQ(decoded(""), "");
  EXPECT_EQ(decoded("Zg=="), "f");
  EXPECT_EQ(decoded("Zm8="), "fo");
  EXPECT_EQ(decoded("Zm9v"), "foo");
  EXPECT_EQ(decoded("Zm9vYg=="), "foob");
  EXPECT_EQ(decoded("Zm9vYmE="), "fooba");
  EXPECT_EQ(decoded("Zm9vYmFy"), "foobar");
}

TEST(Base64, WhatIsNotCanonicalIsRefused) {
  for (const char* text : {"Zg", "Zg=", "Zg===", "=", "====", "Z===", "Zh==", "Zm9=", "Zm 9",
                           "Zm9v\n", "Z=g=", "Zm9-", "Zg==Zg=="}) {
    EXPECT_EQ(decoded(text), "refused") << text;
  }
  std::array<char, 2> small;
  EXPECT_FALSE(decode_base64("Zm9v", small));
}

TEST(BasicAuthentication, OneOfTheUsersIsLetIn) {
  const std::vector<std::string> users = {"admin:secret", "a:b", "openstack:pass:word"};
  EXPECT_TRUE(basic_credentials_match("Basic YTpi", users));
  EXPECT_TRUE(basic_credentials_match("bAsIc   YTpi ", users));
  EXPECT_TRUE(basic_credentials_match("Basic YWRtaW46c2VjcmV0", users));
  EXPECT_TRUE(basic_credentials_match("Basic b3BlbnN0YWNrOnBhc3M6d29yZA==", users));
}

TEST(BasicAuthentication, EverybodyElseIsNot) {
  const std::vector<std::string> users = {"a:b"};
  for (const char* value : {"", "Basic", "Basic ", "Basic YTpj", "Basic YTpiYg==", "Basic YTo=",
                            "Basic YTpi=", "Bearer YTpi", "BasicYTpi", "YTpi"}) {
    EXPECT_FALSE(basic_credentials_match(value, users)) << value;
  }
  EXPECT_FALSE(basic_credentials_match("Basic YTpi", {}));
  EXPECT_FALSE(basic_credentials_match("Basic " + std::string(4000, 'A'), users));
}

}  // namespace
}  // namespace nines::http
