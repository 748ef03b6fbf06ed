// A table of statuses, and one shape for all their pages.
#include "http/error_response.h"

#include <algorithm>
#include <array>

namespace nines::http {
namespace {

struct Page {
  std::uint16_t status;
  std::string_view reason;
  std::string_view sentence;
};

// What HAProxy 2.6 answers, oddities (407's reason, 501's leading dot) included.
constexpr std::array<Page, 18> kPages = {{
    {200, "OK", "Service ready."},
    {400, "Bad request", "Your browser sent an invalid request."},
    {401, "Unauthorized", "You need a valid user and password to access this content."},
    {403, "Forbidden", "Request forbidden by administrative rules."},
    {404, "Not Found", "The resource could not be found."},
    {407, "Unauthorized", "You need a valid user and password to access this content."},
    {408, "Request Time-out", "Your browser didn't send a complete request in time."},
    {410, "Gone", "The resource is no longer available and will not be available again."},
    {413, "Payload Too Large", "The request entity exceeds the maximum allowed."},
    {421, "Misdirected Request", "Request sent to a non-authoritative server."},
    {422, "Unprocessable Content", "The server cannot process the contained instructions."},
    {425, "Too Early", "Your browser sent early data."},
    {429, "Too Many Requests", "You have sent too many requests in a given amount of time."},
    {500, "Internal Server Error", "An internal server error occurred."},
    {501, "Not Implemented",
     ".The server does not support the functionality required to fulfill the request."},
    {502, "Bad Gateway", "The server returned an invalid or incomplete response."},
    {503, "Service Unavailable", "No server is available to handle this request."},
    {504, "Gateway Time-out", "The server didn't respond in time."},
}};

const Page* find_page(std::uint16_t status) {
  const auto* const page = std::find_if(
      kPages.begin(), kPages.end(), [status](const Page& each) { return each.status == status; });
  return page == kPages.end() ? nullptr : page;
}

}  // namespace

std::string make_error_response(const ErrorResponse& response) {
  const Page* found = find_page(response.status);
  const Page& page = found != nullptr ? *found : *find_page(500);
  const std::string title = std::to_string(page.status).append(" ").append(page.reason);

  std::string body = "<html><body><h1>";
  body.append(title).append("</h1>\n").append(page.sentence).append("\n</body></html>\n");

  std::string text = "HTTP/1.1 ";
  text.append(title).append("\r\ncontent-length: ").append(std::to_string(body.size()));
  text.append("\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n");
  text.append(response.fields);
  if (response.close || page.status == 400 || page.status == 408) {
    text.append("connection: close\r\n");
  }
  text.append("\r\n");
  if (!response.head_only) text.append(body);
  return text;
}

std::string_view error_reason(std::uint16_t status) {
  const Page* const page = find_page(status);
  return page != nullptr ? page->reason : std::string_view{};
}

std::string make_authenticate_field(std::uint16_t status, std::string_view realm) {
  std::string text = status == 407 ? "proxy-authenticate" : "www-authenticate";
  text.append(": Basic realm=\"");
  for (const char c : realm) {
    if (c == '"' || c == '\\') text.push_back('\\');
    text.push_back(c);
  }
  return text.append("\"\r\n");
}

}  // namespace nines::http
