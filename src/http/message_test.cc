// The head parser rule by rule, and its answers at every cut.
#include "http/message.h"

#include <cctype>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/syntax.h"

namespace nines::http {
namespace {

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

TEST(HttpRequest, OnlyRepeatableMethodsAreIdempotent) {
  for (const Method method : {Method::kGet, Method::kHead, Method::kPut, Method::kDelete,
                              Method::kOptions, Method::kTrace}) {
    EXPECT_TRUE(is_idempotent(method));
  }
  for (const Method method : {Method::kPost, Method::kPatch, Method::kConnect, Method::kOther}) {
    EXPECT_FALSE(is_idempotent(method));
  }
}

TEST(HttpRequest, LengthAndChunksFrameTheBody) {
  const Request none("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(none.head->framing, Framing::kNone);
  const Request length("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0042\r\n\r\n");
  EXPECT_EQ(length.head->framing, Framing::kLength);
  EXPECT_EQ(length.head->content_length, 42u);
  const Request zero("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(zero.head->framing, Framing::kLength);
  const Request most("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n");
  EXPECT_EQ(most.head->content_length, kContentLengthMax);
  const Request chunked("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
  EXPECT_EQ(chunked.head->framing, Framing::kChunked);
}

TEST(HttpRequest, ConnectionAndVersionDecideWhetherItGoesOn) {
  const auto keeps = [](std::string_view version, std::string_view connection) {
    const Request request(std::string("GET / ")
                              .append(version)
                              .append("\r\nHost: a\r\n")
                              .append(connection)
                              .append("\r\n"));
    EXPECT_EQ(request.result.status, Parse::kComplete);
    return request.head->keep_alive;
  };
  EXPECT_TRUE(keeps("HTTP/1.1", ""));
  EXPECT_TRUE(keeps("HTTP/1.1", "Connection: keep-alive\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.1", "Connection: Close\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.1", "Connection: x, close\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
  EXPECT_TRUE(keeps("HTTP/1.1", "Connection: closed\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.0", ""));
  EXPECT_TRUE(keeps("HTTP/1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.0", "Connection: keep-alive, close\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.0", "Proxy-Connection: keep-alive\r\n"));
}

TEST(HttpRequest, ConnectionsFurtherTokensAreNoticed) {
  const Request plain("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\r\n");
  EXPECT_FALSE(plain.head->connection_names_fields);
  EXPECT_TRUE(plain.head->connection_keep_alive);
  const Request named("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-a ,close\r\n\r\n");
  EXPECT_TRUE(named.head->connection_names_fields);
  EXPECT_TRUE(named.head->connection_close);
  EXPECT_TRUE(connection_has_token(*named.head, named.bytes.data(), "X-A"));
  EXPECT_FALSE(connection_has_token(*named.head, named.bytes.data(), "X"));
}

TEST(HttpRequest, WebSocketAsksForAnUpgrade) {
  constexpr std::string_view kUpgrade = "Host: a\r\nUpgrade: websocket\r\n";
  const auto upgrades = [](std::string text) {
    const Request request(text);
    EXPECT_EQ(request.result.status, Parse::kComplete);
    return request.head->upgrade;
  };
  const std::string fields(kUpgrade);
  EXPECT_TRUE(upgrades("GET / HTTP/1.1\r\n" + fields + "Connection: keep-alive, Upgrade\r\n\r\n"));
  EXPECT_FALSE(upgrades("GET / HTTP/1.1\r\n" + fields + "\r\n"));
  EXPECT_FALSE(upgrades("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n"));
  EXPECT_FALSE(upgrades("GET / HTTP/1.0\r\n" + fields + "Connection: Upgrade\r\n\r\n"));
}

TEST(HttpRequest, ExpectationOfAContinueIsSeenInHttp11Only) {
  EXPECT_TRUE(
      Request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n").head->expect_continue);
  EXPECT_FALSE(Request("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").head->expect_continue);
  EXPECT_FALSE(Request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n").head->expect_continue);
}

TEST(HttpRequest, TargetsHaveFourForms) {
  const auto fault = [](std::string_view line, std::string_view host) {
    return Request(std::string(line).append("\r\nHost: ").append(host).append("\r\n\r\n"))
        .result.fault;
  };
  EXPECT_EQ(fault("GET /a?b{}|^\"<>`\\ HTTP/1.1", "a"), Fault::kNone);
  EXPECT_EQ(fault("OPTIONS * HTTP/1.1", "a"), Fault::kNone);
  EXPECT_EQ(fault("GET * HTTP/1.1", "a"), Fault::kBadTargetForm);
  EXPECT_EQ(fault("GET foo HTTP/1.1", "a"), Fault::kBadTargetForm);
  EXPECT_EQ(fault("GET http:/// HTTP/1.1", "a"), Fault::kBadTargetForm);
  EXPECT_EQ(fault("GET http://user@a/ HTTP/1.1", "a"), Fault::kBadTargetForm);
  EXPECT_EQ(fault("GET ht_p://a/ HTTP/1.1", "a"), Fault::kBadTargetForm);
  EXPECT_EQ(fault("GET http://A/x HTTP/1.1", "a"), Fault::kNone);
  EXPECT_EQ(fault("GET http://a:80?x HTTP/1.1", "a"), Fault::kNone);
  EXPECT_EQ(fault("GET https://a/ HTTP/1.1", "a:443"), Fault::kNone);
  EXPECT_EQ(fault("GET https://a/ HTTP/1.1", "a:80"), Fault::kHostMismatch);
  EXPECT_EQ(fault("GET http://a:8080/ HTTP/1.1", "a"), Fault::kHostMismatch);
  EXPECT_EQ(fault("CONNECT a:80 HTTP/1.1", "a:80"), Fault::kNone);
  EXPECT_EQ(fault("CONNECT a:80 HTTP/1.1", "a"), Fault::kNone);
  EXPECT_EQ(fault("CONNECT [::1]:80 HTTP/1.1", "[::1]:80"), Fault::kNone);
  EXPECT_EQ(fault("CONNECT a:80 HTTP/1.1", "b:80"), Fault::kHostMismatch);
  EXPECT_EQ(fault("CONNECT a HTTP/1.1", "a"), Fault::kBadTargetForm);
  EXPECT_EQ(fault("CONNECT /a HTTP/1.1", "a"), Fault::kBadTargetForm);
  EXPECT_EQ(fault("CONNECT a:b HTTP/1.1", "a"), Fault::kBadTargetForm);
}

TEST(HttpRequest, HostMayBeEmptyOrAnAddressAndMissInHttp10) {
  EXPECT_EQ(Request("GET / HTTP/1.1\r\nHost:\r\n\r\n").result.status, Parse::kComplete);
  EXPECT_EQ(Request("GET / HTTP/1.1\r\nHost: [fe80::1]:80\r\n\r\n").result.status,
            Parse::kComplete);
  const Request old("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.result.status, Parse::kComplete);
  EXPECT_EQ(old.head->host.size, 0u);
  EXPECT_EQ(old.head->version, Version::kHttp10);
}

TEST(HttpRequest, HeadsHaveALimitThatIsItselfAllowed) {
  const Limits limits{.head_bytes = 64};
  std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  text.append(64 - text.size() - 4, 'x').append("\r\n\r\n");
  EXPECT_EQ(Request(text, limits).result.status, Parse::kComplete);
  text.insert(text.size() - 4, "x");
  const Request request(text, limits);
  EXPECT_EQ(request.result.fault, Fault::kHeadTooLarge);
  EXPECT_EQ(request.result.position, 64u);
}

TEST(HttpRequest, LinesHaveALimitThatIsItselfAllowed) {
  const Limits limits{.line_bytes = 20};
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(Request(start + "X: " + std::string(17, 'x') + "\r\n\r\n", limits).result.status,
            Parse::kComplete);
  EXPECT_EQ(Request(start + "X: " + std::string(18, 'x') + "\r\n\r\n", limits).result.fault,
            Fault::kLineTooLong);
  EXPECT_EQ(Request("GET /0123456789 HTTP/1.1\r\n", limits).result.fault, Fault::kLineTooLong);
}

TEST(HttpRequest, FieldsHaveALimitThatIsItselfAllowed) {
  std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 99; ++i) text += "X: y\r\n";
  const Request most(text + "\r\n");
  EXPECT_EQ(most.result.status, Parse::kComplete);
  EXPECT_EQ(most.head->field_count, 100u);
  EXPECT_EQ(Request(text + "X: y\r\n\r\n").result.fault, Fault::kTooManyFields);
  // More than the head can hold is not granted, whatever the limit says.
  for (int i = 0; i < 100; ++i) text += "X: y\r\n";
  EXPECT_EQ(Request(text + "\r\n", Limits{.fields = 1000}).result.fault, Fault::kTooManyFields);
}

TEST(HttpRequest, FaultPointsAtTheByteThatBreaksTheRule) {
  const auto position = [](std::string_view text) { return Request(text).result.position; };
  EXPECT_EQ(position("G@T / HTTP/1.1\r\n"), 1u);
  EXPECT_EQ(position("GET /\x7f HTTP/1.1\r\n"), 5u);
  EXPECT_EQ(position("GET / HTTP/1.1\r\nA: \x01\r\n"), 19u);
  EXPECT_EQ(position("GET / HTTP/1.1\r\nContent-Length: 1x\r\n"), 33u);
}

TEST(HttpRequest, ReusedHeadForgetsTheMessageBefore) {
  const auto head = std::make_unique<RequestHead>();
  const std::string first =
      "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nExpect: 100-continue\r\n"
      "Content-Length: 5\r\n\r\n";
  const std::string second = "GET / HTTP/1.0\r\n\r\n";
  ASSERT_EQ(parse_request(first, Limits{}, *head).status, Parse::kComplete);
  ASSERT_EQ(parse_request(second, Limits{}, *head).status, Parse::kComplete);
  EXPECT_EQ(head->field_count, 0u);
  EXPECT_EQ(head->framing, Framing::kNone);
  EXPECT_EQ(head->content_length, 0u);
  EXPECT_EQ(head->host.size, 0u);
  EXPECT_FALSE(head->expect_continue);
  EXPECT_FALSE(head->connection_close);
  EXPECT_FALSE(head->connection_names_fields);
  EXPECT_FALSE(head->has(FieldName::kHost));
}

TEST(HttpFields, AreFoundByNameWithoutRegardToCase) {
  const Request request("GET / HTTP/1.1\r\nHOST: a\r\nX-Other: 1\r\nx-other: 2\r\n\r\n");
  const char* const base = request.bytes.data();
  EXPECT_EQ(find_field(*request.head, base, "host"), &request.head->fields[0]);
  EXPECT_EQ(find_field(*request.head, FieldName::kHost), &request.head->fields[0]);
  EXPECT_EQ(find_field(*request.head, base, "X-OTHER"), &request.head->fields[1]);
  EXPECT_EQ(find_field(*request.head, base, "X-Othe"), nullptr);
  EXPECT_EQ(find_field(*request.head, base, "Via"), nullptr);
}

TEST(HttpFields, KnownNamesAreKnownInAnyCaseAndOnlyWhole) {
  const std::vector<std::pair<std::string, FieldName>> names = {
      {"accept", FieldName::kAccept},
      {"accept-encoding", FieldName::kAcceptEncoding},
      {"authorization", FieldName::kAuthorization},
      {"cache-control", FieldName::kCacheControl},
      {"connection", FieldName::kConnection},
      {"content-encoding", FieldName::kContentEncoding},
      {"content-length", FieldName::kContentLength},
      {"content-type", FieldName::kContentType},
      {"cookie", FieldName::kCookie},
      {"date", FieldName::kDate},
      {"expect", FieldName::kExpect},
      {"forwarded", FieldName::kForwarded},
      {"host", FieldName::kHost},
      {"keep-alive", FieldName::kKeepAlive},
      {"location", FieldName::kLocation},
      {"proxy-authenticate", FieldName::kProxyAuthenticate},
      {"proxy-authorization", FieldName::kProxyAuthorization},
      {"proxy-connection", FieldName::kProxyConnection},
      {"referer", FieldName::kReferer},
      {"server", FieldName::kServer},
      {"set-cookie", FieldName::kSetCookie},
      {"te", FieldName::kTe},
      {"trailer", FieldName::kTrailer},
      {"transfer-encoding", FieldName::kTransferEncoding},
      {"upgrade", FieldName::kUpgrade},
      {"user-agent", FieldName::kUserAgent},
      {"via", FieldName::kVia},
      {"x-forwarded-for", FieldName::kXForwardedFor},
      {"x-forwarded-host", FieldName::kXForwardedHost},
      {"x-forwarded-port", FieldName::kXForwardedPort},
      {"x-forwarded-proto", FieldName::kXForwardedProto},
  };
  for (const auto& [lower, known] : names) {
    std::string name = lower;
    EXPECT_EQ(find_field_name(name), known) << name;
    for (char& c : name) c = static_cast<char>(std::toupper(c));
    EXPECT_EQ(find_field_name(name), known) << name;
    // Any other token byte in any place makes it another name.
    for (std::size_t i = 0; i < lower.size(); ++i) {
      for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        if (!is_token(c) || to_lower(c) == lower[i]) continue;
        name = lower;
        name[i] = c;
        if (name == "x-forwarded-post") continue;
        const FieldName found = find_field_name(name);
        EXPECT_TRUE(found == FieldName::kOther) << name;
      }
    }
    EXPECT_EQ(find_field_name(lower + "s"), FieldName::kOther);
    EXPECT_EQ(find_field_name(std::string_view(lower).substr(1)), FieldName::kOther);
  }
}

TEST(HttpResponse, OrdinaryAnswerIsTakenApart) {
  const Response response("HTTP/1.1 200 All fine\r\nContent-Length: 12\r\n\r\nHello");
  ASSERT_EQ(response.result.status, Parse::kComplete);
  EXPECT_EQ(response.head->status, 200);
  EXPECT_EQ(response.text(response.head->reason), "All fine");
  EXPECT_EQ(response.text(response.head->start_line), "HTTP/1.1 200 All fine");
  EXPECT_EQ(response.head->size, response.bytes.size() - 5);
  EXPECT_EQ(response.head->framing, Framing::kLength);
  EXPECT_EQ(response.head->content_length, 12u);
  EXPECT_TRUE(response.head->keep_alive);
  EXPECT_FALSE(response.head->interim());
}

TEST(HttpResponse, ReasonMayBeEmptyOrLeftOut) {
  for (const char* line : {"HTTP/1.1 204 ", "HTTP/1.1 204"}) {
    const Response response(std::string(line) + "\r\n\r\n");
    ASSERT_EQ(response.result.status, Parse::kComplete) << line;
    EXPECT_EQ(response.text(response.head->reason), "");
    EXPECT_EQ(response.text(response.head->start_line), line);
  }
}

TEST(HttpResponse, StatusAndRequestDecideWhetherABodyFollows) {
  const auto framing = [](std::string_view status, std::string_view fields,
                          Method method = Method::kGet) {
    const Response response(
        std::string("HTTP/1.1 ").append(status).append(" X\r\n").append(fields).append("\r\n"),
        method);
    EXPECT_EQ(response.result.status, Parse::kComplete);
    return response.head->framing;
  };
  constexpr std::string_view kLength = "Content-Length: 5\r\n";
  constexpr std::string_view kChunks = "Transfer-Encoding: chunked\r\n";
  EXPECT_EQ(framing("200", kLength), Framing::kLength);
  EXPECT_EQ(framing("200", kChunks), Framing::kChunked);
  EXPECT_EQ(framing("200", ""), Framing::kUntilClose);
  EXPECT_EQ(framing("500", ""), Framing::kUntilClose);
  for (const char* status : {"100", "103", "101", "204", "304"}) {
    EXPECT_EQ(framing(status, kLength), Framing::kNone) << status;
    EXPECT_EQ(framing(status, kChunks), Framing::kNone) << status;
    EXPECT_EQ(framing(status, ""), Framing::kNone) << status;
  }
  EXPECT_EQ(framing("200", kLength, Method::kHead), Framing::kNone);
  EXPECT_EQ(framing("200", "", Method::kHead), Framing::kNone);
  EXPECT_EQ(framing("200", kLength, Method::kConnect), Framing::kNone);
  EXPECT_EQ(framing("403", kLength, Method::kConnect), Framing::kLength);
}

TEST(HttpResponse, TunnelsAndInterimAnswersAreTold) {
  const Response switching("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_TRUE(switching.head->tunnel);
  EXPECT_TRUE(switching.head->upgrade);
  EXPECT_FALSE(switching.head->interim());
  EXPECT_FALSE(switching.head->keep_alive);
  const Response early("HTTP/1.1 103 X\r\n\r\n");
  EXPECT_FALSE(early.head->tunnel);
  EXPECT_TRUE(early.head->interim());
  EXPECT_TRUE(Response("HTTP/1.1 200 X\r\n\r\n", Method::kConnect).head->tunnel);
  EXPECT_FALSE(
      Response("HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n", Method::kConnect).head->tunnel);
}

TEST(HttpResponse, ConnectionThatFramesTheBodyCannotGoOn) {
  EXPECT_FALSE(Response("HTTP/1.1 200 X\r\n\r\n").head->keep_alive);
  EXPECT_FALSE(Response("HTTP/1.0 200 X\r\nConnection: keep-alive\r\n\r\n").head->keep_alive);
  EXPECT_TRUE(Response("HTTP/1.0 200 X\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
                  .head->keep_alive);
  EXPECT_FALSE(Response("HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                   .head->keep_alive);
}

TEST(HttpResponse, EachRuleHasItsFault) {
  const std::vector<std::pair<std::string, Fault>> cases = {
      {"\r\nHTTP/1.1 200 X\r\n\r\n", Fault::kBadVersion},
      {"HTTP/2.0 200 X\r\n\r\n", Fault::kBadVersion},
      {"HTTP/1.2 200 X\r\n\r\n", Fault::kBadVersion},
      {"HTTP/1.10 200 X\r\n\r\n", Fault::kBadVersion},
      {"ICY 200 OK\r\n\r\n", Fault::kBadVersion},
      {"HTTP/1.1  200 X\r\n\r\n", Fault::kBadStatus},
      {"HTTP/1.1 099 X\r\n\r\n", Fault::kBadStatus},
      {"HTTP/1.1 20 X\r\n\r\n", Fault::kBadStatus},
      {"HTTP/1.1 2000 X\r\n\r\n", Fault::kBadStatus},
      {"HTTP/1.1 200 X\x01\r\n\r\n", Fault::kControlInReason},
      {"HTTP/1.1 200 X\n\r\n", Fault::kBareLf},
      {"HTTP/1.1 200\rX\r\n", Fault::kBareCr},
      {"HTTP/1.1 200 X\r\nA : b\r\n\r\n", Fault::kSpaceBeforeColon},
      {"HTTP/1.1 200 X\r\nA: b\r\n c\r\n\r\n", Fault::kObsFold},
      {"HTTP/1.1 200 X\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       Fault::kLengthAndEncoding},
      {"HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", Fault::kLengthRepeated},
      {"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\n", Fault::kEncodingNotFinal},
      {"HTTP/1.0 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::kEncodingInHttp10},
  };
  for (const auto& [bytes, fault] : cases) {
    const Response response(bytes);
    EXPECT_EQ(response.result.status, Parse::kBad) << bytes;
    EXPECT_EQ(describe(response.result.fault), describe(fault)) << bytes;
  }
}

// Parses every prefix, each in a heap block of its own size, and compares with the whole.
template <typename Message>
void expect_same_answer_at_every_cut(const std::string& text) {
  const Message whole{std::string_view(text)};
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    const std::vector<char> part(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(cut));
    const Message prefix{std::string_view(part.data(), part.size())};
    if (prefix.result.status == Parse::kNeedMore) {
      if (whole.result.status == Parse::kComplete) {
        EXPECT_LT(cut, whole.head->size) << text;
      }
      continue;
    }
    EXPECT_EQ(prefix.result.status, whole.result.status) << text << " cut at " << cut;
    EXPECT_EQ(prefix.result.fault, whole.result.fault) << text << " cut at " << cut;
    EXPECT_EQ(prefix.result.position, whole.result.position) << text << " cut at " << cut;
    if (whole.result.status == Parse::kComplete) {
      EXPECT_GE(cut, whole.head->size);
      EXPECT_EQ(prefix.head->size, whole.head->size);
      EXPECT_EQ(prefix.head->field_count, whole.head->field_count);
    }
  }
}

TEST(HttpCuts, RequestIsAnsweredAlikeWhereverItIsCut) {
  for (const char* text :
       {"\r\nGET /index.html HTTP/1.1\r\nHost: a:80\r\nX: y\r\nConnection: close\r\n\r\nBODY",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "GET / HTTP/1.7\r\nHost: a\r\n\r\n",
        "GET / HTP/1.1\r\n", "GET /\r\n", "GET foo HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\nA: \x01\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n", "\r\n\r\n\r\n\r\n\r\nG",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\n\r\n"}) {
    expect_same_answer_at_every_cut<Request>(text);
  }
  expect_same_answer_at_every_cut<Request>("GET / HTTP/1.1\r\nX: " + std::string(15400, 'a'));
}

TEST(HttpCuts, ResponseIsAnsweredAlikeWhereverItIsCut) {
  for (const char* text :
       {"HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\nHTTP/1.1", "HTTP/1.1 2x0\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n"}) {
    expect_same_answer_at_every_cut<Response>(text);
  }
}

TEST(HttpFaults, EachHasWordsAndAStatus) {
  for (int i = 0; i <= static_cast<int>(Fault::kTrailerForbidden); ++i) {
    EXPECT_NE(describe(static_cast<Fault>(i)), "unknown fault") << i;
  }
  EXPECT_EQ(status_of(Fault::kEncodingUnknown), 501);
  EXPECT_EQ(status_of(Fault::kEncodingNotFinal), 400);
  EXPECT_EQ(status_of(Fault::kObsFold), 400);
}

}  // namespace
}  // namespace nines::http
