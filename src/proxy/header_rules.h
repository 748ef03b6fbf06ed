// What happens to the fields of a request and of an answer on their way through: hop-by-hop fields
// end here (RFC 9110, section 7.6.1), the configuration's rules apply (HAProxy manual 4.2,
// "http-request", "option forwardfor"), and Connection says what we want. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/socket_address.h"
#include "http/edit.h"
#include "http/message.h"
#include "proxy/proxy_config.h"

namespace nines::proxy {

// What conditions and formats may ask about. Borrowed for the call.
struct RequestFacts {
  const SocketAddress* client = nullptr;
  std::string_view client_ip;  // client->ip_text(), rendered once a session
  const SocketAddress* local = nullptr;
  const ProxyConfig* frontend = nullptr;
  const ProxyConfig* backend = nullptr;  // null before routing
  bool tls = false;
};

// "if" and "unless" of a condition, on these facts.
bool holds(const Condition& condition, const RequestFacts& facts);

// Appends the request's head as it goes to the server. The order: the client's hop-by-hop fields
// go, the frontend's rules, the backend's rules, X-Forwarded-For, our Connection.
void render_request(const http::RequestHead& head, const char* base, const RequestFacts& facts,
                    std::string& out);

// Collects what must change in an answer's head on its way to the client. `keep_client`: the
// client's connection goes on. `dechunk`: the body is sent without its chunks.
void edit_response(const http::ResponseHead& head, const char* base, http::Version client_version,
                   bool keep_client, bool dechunk, http::HeadEditor& editor);

}  // namespace nines::proxy
