// Answers by service and method: the table of what OpenStack's own services say.
#include "lab/http_answer.h"

#include <string>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

using http::Method;

int status(std::string_view service, Method method, std::string_view target) {
  return answer_request(*find_stand_in(service), "node02", method, target).status;
}

TEST(HttpAnswer, RootsAndHealthChecksAnswerAsTheRealOnesDo) {
  EXPECT_EQ(status("keystone", Method::kGet, "/"), 300);
  EXPECT_EQ(status("keystone", Method::kHead, "/"), 300);
  EXPECT_EQ(status("keystone", Method::kOptions, "/"), 200);
  EXPECT_EQ(status("placement_api", Method::kOptions, "/"), 405);
  EXPECT_EQ(status("placement_api", Method::kGet, "/healthcheck"), 401);
  EXPECT_EQ(status("nova_api", Method::kGet, "/healthcheck"), 300);
  EXPECT_EQ(status("neutron", Method::kHead, "/"), 405);
  EXPECT_EQ(status("horizon", Method::kGet, "/"), 302);
  EXPECT_EQ(status("keystone", Method::kPost, "/v3/auth/tokens"), 201);
  EXPECT_EQ(status("keystone", Method::kGet, "/v3?x=1"), 200);
  EXPECT_EQ(status("keystone", Method::kGet, "/nothing"), 404);
}

TEST(HttpAnswer, EveryAnswerNamesNodeAndService) {
  for (const auto& service : stand_ins()) {
    const auto answer = answer_request(service, "node02", Method::kGet, "/");
    EXPECT_NE(answer.fields.find("X-Lab-Node: node02\r\n"), std::string::npos);
    EXPECT_NE(answer.fields.find("X-Lab-Service: " + std::string(service.service)),
              std::string::npos);
  }
}

TEST(HttpAnswer, HeadTellsTheLengthAndSendsNoBody) {
  const HttpAnswer answer{.status = 200, .fields = "A: b\r\n", .body = "12345"};
  EXPECT_EQ(answer_bytes(answer, Method::kHead, true),
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(answer_bytes(answer, Method::kGet, false),
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\n12345");
}

}  // namespace
}  // namespace nines::lab
