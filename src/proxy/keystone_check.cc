// The request is OpenStack's Identity API v3, "Password authentication with scoped authorization".
#include "proxy/keystone_check.h"

#include <algorithm>

#include "text/diagnostics.h"

namespace nines::proxy {
namespace {

constexpr std::string_view kTokensPath = "/v3/auth/tokens";
constexpr int kCreated = 201;
constexpr std::string_view kTokenField = "x-subject-token";

void append_named(std::string& out, std::string_view key, std::string_view value) {
  out.append("\"").append(key).append("\":");
  text::append_json_string(out, value);
}

void append_domain(std::string& out, std::string_view name) {
  out += "\"domain\":{";
  append_named(out, "name", name);
  out += '}';
}

bool same_without_case(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

}  // namespace

std::string encode_token_request(const CheckCredentials& credentials) {
  std::string body = "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{";
  append_named(body, "name", credentials.user);
  body += ',';
  append_domain(body, credentials.user_domain);
  body += ',';
  append_named(body, "password", credentials.password);
  body += "}}}";
  if (!credentials.project.empty()) {
    body += ",\"scope\":{\"project\":{";
    append_named(body, "name", credentials.project);
    body += ',';
    append_domain(body, credentials.project_domain);
    body += "}}";
  }
  body += "}}";
  return "POST " + std::string(kTokensPath) +
         " HTTP/1.1\r\nhost: keystone\r\ncontent-type: application/json\r\n"
         "content-length: " +
         std::to_string(body.size()) + "\r\nconnection: close\r\n\r\n" + body;
}

CheckOutcome judge_token_answer(const http::ResponseHead& head, std::string_view bytes) {
  CheckOutcome outcome;
  outcome.status = CheckStatus::kLayer7Status;
  outcome.code = head.status;
  if (head.status != kCreated) {
    outcome.info = head.reason.in(bytes.data());
    return outcome;
  }
  for (const http::Field& field : head) {
    if (same_without_case(field.name.in(bytes.data()), kTokenField) && field.value.size > 0) {
      outcome.status = CheckStatus::kLayer7Ok;
      return outcome;
    }
  }
  outcome.info = "created, but no token came";
  return outcome;
}

bool asks_for_token(http::Method method, std::string_view target) {
  target = target.substr(0, target.find('?'));
  return method == http::Method::kPost && target.ends_with(kTokensPath);
}

}  // namespace nines::proxy
