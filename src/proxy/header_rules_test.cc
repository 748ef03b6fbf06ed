// Golden heads: what a server gets for what the client sent, and what the client gets for what the
// server answered.
#include "proxy/header_rules.h"

#include <memory>

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

const SocketAddress kClient = SocketAddress::ipv4({10, 0, 0, 7}, 40001);
const SocketAddress kLocal = SocketAddress::ipv4({10, 0, 0, 1}, 80);

FormatPiece literal(std::string text) {
  return FormatPiece{.kind = FormatPiece::Kind::kLiteral, .literal = std::move(text)};
}

class HeaderRules : public testing::Test {
 protected:
  HeaderRules() {
    front_.name = "web";
    back_.name = "app";
  }

  std::string sent_for(std::string_view text) {
    auto head = std::make_unique<http::RequestHead>();
    const auto parsed = http::parse_request(text, http::Limits{}, *head);
    EXPECT_EQ(parsed.status, http::Parse::kComplete) << http::describe(parsed.fault);
    std::string out;
    render_request(*head, text.data(),
                   RequestFacts{.client = &kClient,
                                .client_ip = client_ip_,
                                .local = &kLocal,
                                .frontend = &front_,
                                .backend = &back_},
                   out);
    return out;
  }

  static std::string answered(std::string_view text, http::Version client, bool keep_client,
                              bool dechunk = false) {
    auto head = std::make_unique<http::ResponseHead>();
    const auto parsed = http::parse_response(text, http::Limits{}, http::Method::kGet, *head);
    EXPECT_EQ(parsed.status, http::Parse::kComplete) << http::describe(parsed.fault);
    http::HeadEditor editor(*head, text.data());
    edit_response(*head, text.data(), client, keep_client, dechunk, editor);
    std::string out;
    editor.render(out);
    return out;
  }

  void add_rule(ProxyConfig& proxy, HttpRequestRule::Action action, std::string header,
                std::vector<FormatPiece> value, Condition condition = {}) {
    HttpRequestRule rule;
    rule.action = action;
    rule.header = std::move(header);
    rule.value = std::move(value);
    rule.condition = std::move(condition);
    proxy.http_request_rules.push_back(std::move(rule));
  }

  ProxyConfig front_, back_;
  std::string client_ip_ = "10.0.0.7";
};

TEST_F(HeaderRules, PlainRequestPassesUnchanged) {
  const std::string_view text = "GET /a?b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
  EXPECT_EQ(sent_for(text), text);
}

TEST_F(HeaderRules, EmptyLinesInFrontAreDropped) {
  EXPECT_EQ(sent_for("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}

TEST_F(HeaderRules, HopByHopFieldsEndHere) {
  EXPECT_EQ(sent_for("GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
                     "Keep-Alive: 5\r\nProxy-Connection: y\r\nX-Kept: 2\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nX-Kept: 2\r\n\r\n");
}

TEST_F(HeaderRules, ConnectionCannotNameAwayWhatFramesOrProves) {
  EXPECT_EQ(sent_for("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nAuthorization: a\r\n"
                     "Connection: Content-Length, Host, Authorization\r\n\r\n"),
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nAuthorization: a\r\n\r\n");
}

TEST_F(HeaderRules, UpgradeIsAskedForAgain) {
  EXPECT_EQ(sent_for("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
                     "Upgrade: websocket\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
}

TEST_F(HeaderRules, UpgradeWithoutItsTokenIsNone) {
  EXPECT_EQ(sent_for("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}

TEST_F(HeaderRules, ServerIsToldToCloseWhenItsConnectionIsNotKept) {
  back_.connection_mode = HttpConnectionMode::kServerClose;
  EXPECT_EQ(sent_for("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

TEST_F(HeaderRules, FrontendsWordEndsTheServersConnectionToo) {
  front_.connection_mode = HttpConnectionMode::kServerClose;
  EXPECT_EQ(sent_for("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

TEST_F(HeaderRules, OldRequestIsNotToldWhatItMeansAnyway) {
  back_.connection_mode = HttpConnectionMode::kClose;
  EXPECT_EQ(sent_for("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"),
            "GET / HTTP/1.0\r\nHost: x\r\n\r\n");
  back_.connection_mode = HttpConnectionMode::kKeepAlive;
  EXPECT_EQ(sent_for("GET / HTTP/1.0\r\nHost: x\r\n\r\n"),
            "GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
}

TEST_F(HeaderRules, FrontendsRulesDoNotKnowTheBackendYet) {
  const FormatPiece backend_name{.kind = FormatPiece::Kind::kBackendName, .literal = {}};
  add_rule(front_, HttpRequestRule::Action::kSetHeader, "X-Front", {backend_name});
  add_rule(back_, HttpRequestRule::Action::kSetHeader, "X-Back", {backend_name});
  EXPECT_EQ(sent_for("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nX-Front: web\r\nX-Back: app\r\n\r\n");
}

TEST_F(HeaderRules, RulesOfTheFrontendThenOfTheBackendThenForwardFor) {
  using Action = HttpRequestRule::Action;
  front_.forward_for.enabled = true;
  add_rule(front_, Action::kSetHeader, "X-A", {literal("front")});
  add_rule(front_, Action::kDelHeader, "X-B", {});
  add_rule(back_, Action::kAddHeader, "X-A", {literal("back")});
  add_rule(back_, Action::kSetHeader, "X-From",
           {FormatPiece{.kind = FormatPiece::Kind::kClientIp, .literal = {}}, literal(":"),
            FormatPiece{.kind = FormatPiece::Kind::kClientPort, .literal = {}}, literal(" "),
            FormatPiece{.kind = FormatPiece::Kind::kFrontendName, .literal = {}}, literal("/"),
            FormatPiece{.kind = FormatPiece::Kind::kBackendName, .literal = {}}});
  EXPECT_EQ(sent_for("GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-b: 2\r\nX-A: 3\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nX-A: front\r\nX-A: back\r\n"
            "X-From: 10.0.0.7:40001 web/app\r\nX-Forwarded-For: 10.0.0.7\r\n\r\n");
}

TEST_F(HeaderRules, ConditionsChooseAmongRules) {
  using Action = HttpRequestRule::Action;
  const AclTerm tls{.fetch = AclTerm::Fetch::kSslFc, .negated = false};
  const AclTerm plain{.fetch = AclTerm::Fetch::kSslFc, .negated = true};
  add_rule(front_, Action::kSetHeader, "X-Proto", {literal("https")},
           Condition{.unless = false, .any_of = {{tls}}});
  add_rule(front_, Action::kSetHeader, "X-Proto", {literal("http")},
           Condition{.unless = false, .any_of = {{plain}}});
  EXPECT_EQ(sent_for("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nX-Proto: http\r\n\r\n");
}

TEST_F(HeaderRules, ForwardForIsAddedBehindWhatIsThere) {
  front_.forward_for.enabled = true;
  EXPECT_EQ(sent_for("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\n"
            "X-Forwarded-For: 10.0.0.7\r\n\r\n");
}

TEST_F(HeaderRules, ForwardForIfNoneLeavesWhatIsThere) {
  front_.forward_for.enabled = true;
  front_.forward_for.if_none = true;
  const std::string_view text = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n";
  EXPECT_EQ(sent_for(text), text);
}

TEST_F(HeaderRules, ForwardForSparesTheExceptedNetwork) {
  front_.forward_for.enabled = true;
  front_.forward_for.except_network = SocketAddress::ipv4({10, 0, 0, 0}, 0);
  const std::string_view text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  front_.forward_for.except_prefix_length = 29;  // .0 to .7
  EXPECT_EQ(sent_for(text), text);
  front_.forward_for.except_prefix_length = 30;  // .0 to .3
  EXPECT_EQ(sent_for(text), "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.7\r\n\r\n");
}

TEST_F(HeaderRules, AnswerLosesTheServersConnectionFields) {
  EXPECT_EQ(answered("HTTP/1.1 200 OK\r\nConnection: keep-alive, X-It\r\nX-It: 1\r\n"
                     "Keep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
                     http::Version::kHttp11, true),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(HeaderRules, AnswerSaysWhetherTheClientsConnectionGoesOn) {
  const std::string_view text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(answered(text, http::Version::kHttp11, true), text);
  EXPECT_EQ(answered(text, http::Version::kHttp11, false),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answered(text, http::Version::kHttp10, false),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answered(text, http::Version::kHttp10, true),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
}

TEST_F(HeaderRules, AnswerOfAnOldServerSpeaksOurVersion) {
  EXPECT_EQ(answered("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", http::Version::kHttp11, true),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(HeaderRules, AnswerWithoutItsChunksDoesNotAnnounceThem) {
  EXPECT_EQ(answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                     http::Version::kHttp10, false, true),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
}

TEST_F(HeaderRules, SwitchedProtocolIsPassedAsItIs) {
  const std::string_view text =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  EXPECT_EQ(answered(text, http::Version::kHttp11, false), text);
}

}  // namespace
}  // namespace nines::proxy
