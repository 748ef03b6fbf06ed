// Our own answers, as clients of the incumbent know them.
#include "http/error_response.h"

#include <memory>

#include <gtest/gtest.h>

#include "http/message.h"

namespace nines::http {
namespace {

TEST(ErrorResponse, LooksLikeTheIncumbents) {
  EXPECT_EQ(make_error_response({.status = 503}),
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\n"
            "cache-control: no-cache\r\ncontent-type: text/html\r\n\r\n"
            "<html><body><h1>503 Service Unavailable</h1>\n"
            "No server is available to handle this request.\n</body></html>\n");
}

TEST(ErrorResponse, BadRequestAndTimeoutAlwaysClose) {
  for (const std::uint16_t status : {400, 408}) {
    EXPECT_NE(make_error_response({.status = status}).find("\r\nconnection: close\r\n\r\n"),
              std::string::npos);
  }
  EXPECT_EQ(make_error_response({.status = 502}).find("connection"), std::string::npos);
  EXPECT_NE(make_error_response({.status = 502, .close = true}).find("connection: close\r\n"),
            std::string::npos);
}

TEST(ErrorResponse, HeadGetsTheFieldsAlone) {
  const std::string whole = make_error_response({.status = 504});
  const std::string head = make_error_response({.status = 504, .head_only = true});
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_TRUE(whole.starts_with(head));
}

TEST(ErrorResponse, ChallengeNamesTheRealm) {
  const std::string field = make_authenticate_field(401, "Haproxy \"Stats\"");
  EXPECT_EQ(field, "www-authenticate: Basic realm=\"Haproxy \\\"Stats\\\"\"\r\n");
  EXPECT_NE(make_error_response({.status = 401, .fields = field}).find("text/html\r\n" + field),
            std::string::npos);
  EXPECT_TRUE(make_authenticate_field(407, "x").starts_with("proxy-authenticate: "));
}

TEST(ErrorResponse, EveryPageParsesAndIsAsLongAsItSays) {
  // The incumbent's own lengths.
  const std::pair<std::uint16_t, std::uint64_t> lengths[] = {
      {400, 90},  {401, 112}, {403, 93},  {404, 83},  {407, 112}, {408, 110},
      {410, 114}, {413, 106}, {421, 104}, {422, 116}, {425, 80},  {429, 117},
      {500, 97},  {501, 136}, {502, 107}, {503, 107}, {504, 92}};
  for (const auto& [status, length] : lengths) {
    const std::string text = make_error_response({.status = status});
    const auto head = std::make_unique<ResponseHead>();
    ASSERT_EQ(parse_response(text, Limits{}, Method::kGet, *head).status, Parse::kComplete);
    EXPECT_EQ(head->status, status);
    EXPECT_EQ(head->reason.in(text.data()), error_reason(status));
    EXPECT_EQ(head->content_length, length) << status;
    EXPECT_EQ(head->size + head->content_length, text.size()) << status;
  }
}

TEST(ErrorResponse, StatusWithoutAPageIsAnInternalError) {
  EXPECT_TRUE(make_error_response({.status = 299}).starts_with("HTTP/1.1 500 "));
  EXPECT_EQ(error_reason(299), "");
}

}  // namespace
}  // namespace nines::http
