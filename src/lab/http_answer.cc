// Roots and health checks by the table of personas; a few addresses that tools ask for by heart.
#include "lab/http_answer.h"

#include <array>

namespace nines::lab {
namespace {

struct Reason {
  int status;
  std::string_view text;
};
constexpr std::array kReasons = {
    Reason{200, "OK"},
    Reason{201, "Created"},
    Reason{204, "No Content"},
    Reason{300, "Multiple Choices"},
    Reason{302, "Found"},
    Reason{400, "Bad Request"},
    Reason{401, "Unauthorized"},
    Reason{404, "Not Found"},
    Reason{405, "Method Not Allowed"},
    Reason{426, "Upgrade Required"},
};

bool is_keystone(const StandInPlan& service) { return service.service.starts_with("keystone"); }

std::string versions(const StandInPlan& service) {
  return R"({"versions": {"values": [{"id": "v3.14", "status": "stable", )"
         R"("links": [{"rel": "self", "href": "http://100.2.30.40:)" +
         std::to_string(service.port) + R"(/v3/"}]}]}})";
}

std::string token_body(std::string_view node) {
  return R"({"token": {"methods": ["password"], )"
         R"("user": {"name": "lab", "domain": {"id": "default"}}, )"
         R"("issued_at": "2026-01-01T00:00:00.000000Z", "lab_node": ")" +
         std::string(node) + R"("}})";
}

HttpAnswer json(int status, std::string body) {
  return {
      .status = status, .fields = "Content-Type: application/json\r\n", .body = std::move(body)};
}

HttpAnswer answer_root(const StandInPlan& service, std::string_view node, http::Method method) {
  const auto& persona = service.persona;
  const int status = method == http::Method::kHead      ? persona.head_root
                     : method == http::Method::kOptions ? persona.options_root
                                                        : persona.get_root;
  if (status == 405) return json(405, R"({"error": {"code": 405, "title": "Method Not Allowed"}})");
  if (status == 302) {
    return {.status = 302, .fields = "Location: /auth/login/?next=/\r\n", .body = ""};
  }
  if (method == http::Method::kOptions) {
    return {.status = status, .fields = "Allow: GET, HEAD, POST, OPTIONS\r\n", .body = ""};
  }
  if (service.service == "nova_metadata") {
    return {.status = status,
            .fields = "Content-Type: text/plain; charset=UTF-8\r\n",
            .body = "1.0\n2009-04-04\nlatest"};
  }
  if (is_keystone(service)) return json(status, versions(service));
  return json(status, R"({"versions": [{"id": "v2.1", "status": "CURRENT"}], "lab_node": ")" +
                          std::string(node) + R"("})");
}

HttpAnswer answer_path(const StandInPlan& service, std::string_view node, http::Method method,
                       std::string_view path) {
  using http::Method;
  if (method != Method::kGet && method != Method::kHead && method != Method::kPost &&
      method != Method::kOptions && method != Method::kPut && method != Method::kDelete &&
      method != Method::kPatch) {
    return json(405, R"({"error": {"code": 405, "title": "Method Not Allowed"}})");
  }
  if (path == "/" || path == "*" || path.empty()) {
    if (service.kind == StandInKind::kWebSocket) {
      return {.status = 426, .fields = "Upgrade: websocket\r\n", .body = "a WebSocket lives here"};
    }
    return answer_root(service, node, method);
  }
  if (path == "/healthcheck") {
    const int status = service.persona.get_healthcheck;
    if (status == 200) {
      return {.status = 200, .fields = "Content-Type: text/plain\r\n", .body = "OK"};
    }
    return json(status, "{}");
  }
  if (is_keystone(service)) {
    if (path == "/v3" || path == "/v3/") {
      return json(200, R"({"version": {"id": "v3.14", "status": "stable"}})");
    }
    if (path == "/v3/auth/tokens" && method == Method::kPost) {
      auto answer = json(201, token_body(node));
      answer.fields += "X-Subject-Token: lab-token-from-" + std::string(node) + "\r\n";
      return answer;
    }
  }
  if (service.service == "horizon" && path == "/auth/login/") {
    return {.status = 200,
            .fields = "Content-Type: text/html; charset=utf-8\r\n",
            .body = "<!DOCTYPE html><title>Login - OpenStack Dashboard</title>"};
  }
  return json(404, R"({"error": {"code": 404, "title": "Not Found"}})");
}

}  // namespace

std::string_view reason_of(int status) {
  for (const auto& each : kReasons) {
    if (each.status == status) return each.text;
  }
  return "";
}

HttpAnswer answer_request(const StandInPlan& service, std::string_view node, http::Method method,
                          std::string_view target) {
  auto answer = answer_path(service, node, method, target.substr(0, target.find('?')));
  answer.fields += std::string(kNodeField) + ": " + std::string(node) + "\r\n";
  answer.fields += std::string(kServiceField) + ": " + std::string(service.service) + "\r\n";
  return answer;
}

std::string answer_bytes(const HttpAnswer& answer, http::Method method, bool keep_alive) {
  std::string out = "HTTP/1.1 " + std::to_string(answer.status) + ' ';
  out += reason_of(answer.status);
  out += "\r\n";
  out += answer.fields;
  if (answer.status != 204 && answer.status >= 200) {
    out += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n";
  }
  if (!keep_alive) out += "Connection: close\r\n";
  out += "\r\n";
  if (method != http::Method::kHead && answer.status != 204) out += answer.body;
  return out;
}

}  // namespace nines::lab
