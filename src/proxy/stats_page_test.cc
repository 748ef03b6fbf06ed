// Who gets which form of the statistics page, and that nothing from a configuration becomes markup.
#include "proxy/stats_page.h"

#include <string>

#include "proxy/stats_fixture_test.h"
#include "proxy/stats_html.h"

namespace nines::proxy {
namespace {

class StatsPageTest : public testing::Test {
 protected:
  StatsPageTest() {
    page.enabled = true;
    page.uri = "/";
    page.refresh = 15s;
  }
  std::string ask(std::string_view target, std::string_view method = "GET",
                  std::string_view authorization = "", bool close = false) {
    const auto answer =
        stats_response(page, *generation, fixture_process(), {method, target, authorization, close},
                       kFixtureNow, kFixtureWall);
    return answer.value_or("nothing");
  }
  static std::string head_of(const std::string& response) {
    return response.substr(0, response.find("\r\n\r\n") + 4);
  }
  static std::string body_of(const std::string& response) {
    return response.substr(response.find("\r\n\r\n") + 4);
  }

  StatsPageConfig page;
  std::shared_ptr<const Generation> generation = fixture_generation();
};

TEST_F(StatsPageTest, UriIsAPrefix) {
  EXPECT_TRUE(stats_page_covers(page, "/anything"));
  page.uri = "/foo";
  EXPECT_TRUE(stats_page_covers(page, "/foobar"));
  EXPECT_TRUE(stats_page_covers(page, "/foo?a=b"));
  EXPECT_TRUE(stats_page_covers(page, "http://host:1984/foo;csv"));
  EXPECT_FALSE(stats_page_covers(page, "/fo"));
  EXPECT_FALSE(stats_page_covers(page, "http://host"));
  EXPECT_FALSE(stats_page_covers(page, "*"));
  EXPECT_FALSE(stats_page_covers(page, ""));
  page.enabled = false;
  EXPECT_FALSE(stats_page_covers(page, "/foo"));
}

TEST_F(StatsPageTest, OtherMethodsAndUrisAreNotOurs) {
  EXPECT_EQ(ask("/", "PUT"), "nothing");
  EXPECT_EQ(ask("/", "OPTIONS"), "nothing");
  page.uri = "/stats";
  EXPECT_EQ(ask("/v2.1"), "nothing");
}

TEST_F(StatsPageTest, HtmlHasLengthAndRefresh) {
  const std::string answer = ask("/");
  EXPECT_EQ(head_of(answer),
            "HTTP/1.1 200 OK\r\ncache-control: no-cache\r\n"
            "content-type: text/html; charset=utf-8\r\n"
            "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; "
            "img-src data:\r\nrefresh: 15\r\ncontent-length: " +
                std::to_string(body_of(answer).size()) + "\r\n\r\n");
  expect_golden("stats.html", body_of(answer));
}

TEST_F(StatsPageTest, HeadSaysTheLengthAndSendsNothing) {
  const std::string answer = ask("/;csv", "HEAD");
  EXPECT_EQ(body_of(answer), "");
  EXPECT_EQ(head_of(answer), head_of(ask("/;csv")));
}

TEST_F(StatsPageTest, CsvJsonAndTypedForms) {
  EXPECT_TRUE(body_of(ask("/;csv")).starts_with("# pxname,svname,"));
  EXPECT_NE(ask("/;csv").find("content-type: text/plain"), std::string::npos);
  EXPECT_TRUE(body_of(ask("/;json")).starts_with("[[{\"objType\":\"Frontend\""));
  EXPECT_NE(ask("/;json").find("content-type: application/json"), std::string::npos);
  EXPECT_TRUE(body_of(ask("/;typed")).starts_with("F.2.0.0.pxname.1:KNS:str:stats\n"));
  EXPECT_TRUE(body_of(ask("/haproxy?stats;csv;norefresh")).starts_with("# pxname,svname,"));
}

TEST_F(StatsPageTest, NorefreshUpAndScope) {
  EXPECT_EQ(ask("/;csv;norefresh").find("refresh:"), std::string::npos);
  EXPECT_NE(ask("/;csv").find("refresh: 15"), std::string::npos);
  const std::string up = body_of(ask("/;up;csv"));
  EXPECT_EQ(up.find("node3"), std::string::npos);
  EXPECT_NE(up.find("UP (4/6)"), std::string::npos);
  const std::string scoped = body_of(ask("/;csv;scope=data"));
  EXPECT_EQ(scoped.find("api,"), std::string::npos);
  EXPECT_NE(scoped.find("database,spare"), std::string::npos);
}

TEST_F(StatsPageTest, CloseIsSaidWhenAsked) {
  EXPECT_NE(ask("/", "GET", "", true).find("\r\nconnection: close\r\n"), std::string::npos);
  EXPECT_EQ(head_of(ask("/")).find("connection:"), std::string::npos);
}

TEST_F(StatsPageTest, WithoutTheRightPasswordNothingIsShown) {
  page.credentials = {"openstack:secret"};
  page.realm = "Haproxy Stats";
  for (const char* authorization : {"", "Basic b3BlbnN0YWNrOndyb25n", "Bearer x", "Basic ***"}) {
    const std::string answer = ask("/;csv", "GET", authorization);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n")) << authorization;
    EXPECT_NE(answer.find("www-authenticate: Basic realm=\"Haproxy Stats\"\r\n"),
              std::string::npos);
    EXPECT_EQ(answer.find("node1"), std::string::npos);
  }
  EXPECT_TRUE(
      ask("/;csv", "GET", "Basic b3BlbnN0YWNrOnNlY3JldA==").starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(ask("/", "POST", "").starts_with("HTTP/1.1 401"));
}

TEST_F(StatsPageTest, PostChangesNothingAndComesBack) {
  EXPECT_EQ(ask("/", "POST"),
            "HTTP/1.1 303 See Other\r\ncache-control: no-cache\r\nlocation: /;st=DENY\r\n"
            "content-length: 0\r\n\r\n");
}

TEST_F(StatsPageTest, NothingFromAConfigurationBecomesMarkup) {
  Config config;
  ProxyConfig proxy;
  proxy.name = "<script>\"&'";
  proxy.frontend = proxy.backend = true;
  proxy.servers.push_back(fixture_server("<b>", "10.0.0.1:1"));
  BindConfig bind;
  bind.text = "<i>";
  proxy.binds.push_back(bind);
  config.proxies.push_back(proxy);
  generation = Generation::create(std::move(config), 1, kFixtureStart, nullptr);
  generation->proxies[0].servers[0].state->up = false;
  page.show_node = "<u>";
  const std::string body = body_of(ask("/;scope=%3Cscript\"><script"));
  const std::string all = body_of(ask("/"));
  for (const char* hostile : {"<script", "<b>&", "<b>:", "<i>", "<u>"}) {
    EXPECT_EQ(body.find(hostile), std::string::npos) << hostile;
    EXPECT_EQ(all.find(hostile), std::string::npos) << hostile;
  }
  EXPECT_NE(all.find("&lt;script&gt;&quot;&amp;&#39;"), std::string::npos);
}

TEST_F(StatsPageTest, VersionCanBeHidden) {
  EXPECT_NE(ask("/").find("Nines 0.1.0"), std::string::npos);
  page.hide_version = true;
  EXPECT_EQ(ask("/").find("0.1.0"), std::string::npos);
}

}  // namespace
}  // namespace nines::proxy
