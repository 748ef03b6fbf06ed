// The head parser rule by rule, and its answers at every cut.
#include "http/message.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nines::http {
namespace {

using namespace std::literals;

// A parsed request beside its bytes, so that slices can be read as text.
struct Request {
  explicit Request(std::string_view text, Limits limits = {})
      : bytes(text),
        head(std::make_unique<RequestHead>()),
        result(parse_request(bytes, limits, *head)) {}
  std::string_view text(Slice part) const { return part.in(bytes.data()); }

  std::string bytes;
  std::unique_ptr<RequestHead> head;
  ParseResult result;
};

struct Response {
  explicit Response(std::string_view text, Method method = Method::kGet)
      : bytes(text),
        head(std::make_unique<ResponseHead>()),
        result(parse_response(bytes, Limits{}, method, *head)) {}
  std::string_view text(Slice part) const { return part.in(bytes.data()); }

  std::string bytes;
  std::unique_ptr<ResponseHead> head;
  ParseResult result;
};

TEST(HttpRequest, OrdinaryGetIsTakenApart) {
  const Request request(
      "GET /v3/auth?x=1 HTTP/1.1\r\nHost: keystone:5000\r\nX-A:  b c\t\r\n\r\nrest");
  ASSERT_EQ(request.result.status, Parse::kComplete);
  const RequestHead& head = *request.head;
  EXPECT_EQ(head.method, Method::kGet);
  EXPECT_EQ(request.text(head.method_text), "GET");
  EXPECT_EQ(request.text(head.target), "/v3/auth?x=1");
  EXPECT_EQ(request.text(head.start_line), "GET /v3/auth?x=1 HTTP/1.1");
  EXPECT_EQ(request.text(head.host), "keystone:5000");
  ASSERT_EQ(head.field_count, 2u);
  EXPECT_EQ(head.fields[0].known, FieldName::kHost);
  EXPECT_EQ(request.text(head.fields[1].name), "X-A");
  EXPECT_EQ(request.text(head.fields[1].value), "b c");
  EXPECT_EQ(request.text(head.fields[1].line), "X-A:  b c\t\r\n");
  EXPECT_EQ(head.size, request.bytes.size() - 4);
  EXPECT_EQ(head.leading, 0u);
  EXPECT_EQ(head.framing, Framing::kNone);
  EXPECT_TRUE(head.keep_alive);
}

TEST(HttpRequest, EmptyLinesInFrontAreSkippedAndCounted) {
  const Request request("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(request.result.status, Parse::kComplete);
  EXPECT_EQ(request.head->leading, 4u);
  EXPECT_EQ(request.head->size, request.bytes.size());
  EXPECT_EQ(request.text(request.head->start_line), "GET / HTTP/1.1");
}

TEST(HttpRequest, EmptyLinesInFrontHaveALimit) {
  const Request request("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(request.result.fault, Fault::kTooManyEmptyLines);
  EXPECT_EQ(request.result.position, 8u);
}

TEST(HttpRequest, EveryMethodIsKnown) {
  const std::vector<std::pair<std::string, Method>> methods = {
      {"GET", Method::kGet},        {"HEAD", Method::kHead},     {"POST", Method::kPost},
      {"PUT", Method::kPut},        {"DELETE", Method::kDelete}, {"OPTIONS", Method::kOptions},
      {"TRACE", Method::kTrace},    {"PATCH", Method::kPatch},   {"get", Method::kOther},
      {"PROPFIND", Method::kOther}, {"M-SEARCH", Method::kOther}};
  for (const auto& [text, method] : methods) {
    const Request request(text + " /a HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(request.result.status, Parse::kComplete) << text;
    EXPECT_EQ(request.head->method, method) << text;
    EXPECT_EQ(request.text(request.head->method_text), text);
  }
}

TEST(HttpResponse, OrdinaryAnswerIsTakenApart) {
  const Response response("HTTP/1.1 200 All fine\r\nContent-Length: 12\r\n\r\n");
  ASSERT_EQ(response.result.status, Parse::kComplete);
  EXPECT_EQ(response.head->status, 200);
  EXPECT_EQ(response.text(response.head->reason), "All fine");
  EXPECT_EQ(response.head->framing, Framing::kLength);
  EXPECT_EQ(response.head->content_length, 12u);
  EXPECT_TRUE(response.head->keep_alive);
  EXPECT_FALSE(response.head->interim());
}

}  // namespace
}  // namespace nines::http
