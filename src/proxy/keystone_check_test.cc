// What is asked of keystone, and which answers prove that it works.
#include "proxy/keystone_check.h"

#include <memory>

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

CheckCredentials credentials() {
  CheckCredentials made;
  made.user = "nines";
  made.password = "a\"b\\c";
  return made;
}

CheckOutcome judge(const std::string& answer) {
  auto head = std::make_unique<http::ResponseHead>();
  EXPECT_EQ(http::parse_response(answer, {}, http::Method::kPost, *head).status,
            http::Parse::kComplete);
  return judge_token_answer(*head, answer);
}

TEST(KeystoneCheck, a_request_without_a_project_asks_for_no_scope) {
  const std::string body =
      R"({"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"nines",)"
      R"("domain":{"name":"Default"},"password":"a\"b\\c"}}}}})";
  EXPECT_EQ(encode_token_request(credentials()),
            "POST /v3/auth/tokens HTTP/1.1\r\nhost: keystone\r\ncontent-type: application/json\r\n"
            "content-length: " +
                std::to_string(body.size()) + "\r\nconnection: close\r\n\r\n" + body);
}

TEST(KeystoneCheck, a_project_is_the_tokens_scope) {
  CheckCredentials scoped = credentials();
  scoped.project = "service";
  scoped.project_domain = "Infra";
  EXPECT_TRUE(encode_token_request(scoped).ends_with(
      R"(}}},"scope":{"project":{"name":"service","domain":{"name":"Infra"}}}}})"));
}

TEST(KeystoneCheck, only_a_token_is_well) {
  EXPECT_EQ(judge("HTTP/1.1 201 CREATED\r\nX-Subject-Token: gAAAA\r\n\r\n").status,
            CheckStatus::kLayer7Ok);
  const CheckOutcome empty = judge("HTTP/1.1 201 CREATED\r\nX-Subject-Token:\r\n\r\n");
  EXPECT_EQ(empty.status, CheckStatus::kLayer7Status);
  EXPECT_EQ(empty.info, "created, but no token came");
  EXPECT_FALSE(judge("HTTP/1.1 201 CREATED\r\n\r\n").passed());
}

TEST(KeystoneCheck, every_other_answer_is_a_wrong_status) {
  for (const int status : {200, 204, 300, 401, 403, 500, 503}) {
    const CheckOutcome found =
        judge("HTTP/1.1 " + std::to_string(status) + " Why\r\nX-Subject-Token: gAAAA\r\n\r\n");
    EXPECT_EQ(found.status, CheckStatus::kLayer7Status);
    EXPECT_EQ(found.code, status);
    EXPECT_EQ(found.info, "Why");
  }
}

TEST(KeystoneCheck, the_token_is_told_to_nobody) {
  EXPECT_EQ(judge("HTTP/1.1 201 CREATED\r\nX-Subject-Token: gAAAA\r\n\r\n").info, "");
}

}  // namespace
}  // namespace nines::proxy
