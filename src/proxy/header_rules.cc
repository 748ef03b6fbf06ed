// The edits, smallest first: most requests and answers change little or nothing.
#include "proxy/header_rules.h"

#include <memory>
#include <vector>

#include "http/syntax.h"

namespace nines::proxy {

namespace {

bool term_holds(const AclTerm& term, const RequestFacts& facts) {
  bool value = false;
  switch (term.fetch) {
    case AclTerm::Fetch::kAlwaysTrue:
      value = true;
      break;
    case AclTerm::Fetch::kAlwaysFalse:
      value = false;
      break;
    case AclTerm::Fetch::kSslFc:
      value = facts.tls;
      break;
  }
  return value != term.negated;
}

void append_piece(const FormatPiece& piece, const RequestFacts& facts, std::string& out) {
  switch (piece.kind) {
    case FormatPiece::Kind::kLiteral:
      out += piece.literal;
      break;
    case FormatPiece::Kind::kClientIp:
      out += facts.client_ip;
      break;
    case FormatPiece::Kind::kClientPort:
      out += std::to_string(facts.client->port());
      break;
    case FormatPiece::Kind::kFrontendIp:
      out += facts.local->ip_text();
      break;
    case FormatPiece::Kind::kFrontendPort:
      out += std::to_string(facts.local->port());
      break;
    case FormatPiece::Kind::kFrontendName:
      out += facts.frontend->name;
      break;
    case FormatPiece::Kind::kBackendName:
      // Before routing the frontend stands for it, as in HAProxy.
      out += (facts.backend != nullptr ? facts.backend : facts.frontend)->name;
      break;
    case FormatPiece::Kind::kServerName:
      break;  // not chosen yet: empty, as HAProxy has it
    case FormatPiece::Kind::kSslFc:
      out += facts.tls ? '1' : '0';
      break;
  }
}

// Texts that an editor borrows until it has rendered. Costs nothing while no rule formats a value.
class Values {
 public:
  std::string_view format(const std::vector<FormatPiece>& pieces, const RequestFacts& facts) {
    if (pieces.empty()) return {};
    if (pieces.size() == 1 && pieces[0].kind == FormatPiece::Kind::kLiteral) {
      return pieces[0].literal;
    }
    std::string& text = *texts_.emplace_back(std::make_unique<std::string>());
    for (const FormatPiece& piece : pieces) append_piece(piece, facts, text);
    return text;
  }

 private:
  std::vector<std::unique_ptr<std::string>> texts_;  // each stays where it is
};

// Fields that frame or route the message stay, whatever a Connection field says of them.
bool may_be_nominated(http::FieldName name) {
  switch (name) {
    case http::FieldName::kHost:
    case http::FieldName::kContentLength:
    case http::FieldName::kTransferEncoding:
    case http::FieldName::kAuthorization:
    case http::FieldName::kCookie:
    case http::FieldName::kUpgrade:
      return false;
    default:
      return true;
  }
}

void remove_hop_by_hop(const http::MessageHead& head, const char* base, bool keep_upgrade,
                       http::HeadEditor& editor) {
  if (head.connection_names_fields) {
    for (const http::Field& field : head) {
      if (may_be_nominated(field.known) &&
          http::connection_has_token(head, base, field.name.in(base))) {
        editor.remove(field);
      }
    }
  }
  for (const auto name : {http::FieldName::kConnection, http::FieldName::kKeepAlive,
                          http::FieldName::kProxyConnection}) {
    if (head.has(name)) editor.remove_all(name);
  }
  if (!keep_upgrade && head.has(http::FieldName::kUpgrade)) {
    editor.remove_all(http::FieldName::kUpgrade);
  }
}

void apply_rules(const ProxyConfig& proxy, const RequestFacts& facts, Values& values,
                 http::HeadEditor& editor) {
  for (const HttpRequestRule& rule : proxy.http_request_rules) {
    if (!holds(rule.condition, facts)) continue;
    // The editor refuses what is beyond http::kAppendsMax; the configuration bounds its rules.
    switch (rule.action) {
      case HttpRequestRule::Action::kSetHeader:
        static_cast<void>(editor.set(rule.header, values.format(rule.value, facts)));
        break;
      case HttpRequestRule::Action::kAddHeader:
        static_cast<void>(editor.append(rule.header, values.format(rule.value, facts)));
        break;
      case HttpRequestRule::Action::kDelHeader:
        editor.remove_all(rule.header);
        break;
    }
  }
}

bool in_network(std::string_view ip, const SocketAddress& network, int prefix_length) {
  const std::string_view of = network.ip_bytes();
  if (ip.size() != of.size()) return false;
  for (std::size_t i = 0; i < ip.size() && prefix_length > 0; ++i, prefix_length -= 8) {
    const int bits = prefix_length < 8 ? prefix_length : 8;
    const auto mask = static_cast<unsigned char>(0xff << (8 - bits));
    if (((static_cast<unsigned char>(ip[i]) ^ static_cast<unsigned char>(of[i])) & mask) != 0) {
      return false;
    }
  }
  return true;
}

// The frontend's and the backend's wishes as one: either side enables it (section 4.2).
const ProxyConfig::ForwardFor* forward_for(const RequestFacts& facts) {
  if (facts.backend != nullptr && facts.backend->forward_for.enabled) {
    return &facts.backend->forward_for;
  }
  return facts.frontend->forward_for.enabled ? &facts.frontend->forward_for : nullptr;
}

}  // namespace

bool holds(const Condition& condition, const RequestFacts& facts) {
  if (condition.any_of.empty()) return true;
  bool any = false;
  for (const auto& all_of : condition.any_of) {
    bool all = true;
    for (const AclTerm& term : all_of) all = all && term_holds(term, facts);
    any = any || all;
  }
  return any != condition.unless;
}

void render_request(const http::RequestHead& head, const char* base, const RequestFacts& facts,
                    std::string& out) {
  http::HeadEditor editor(head, base);
  if (head.has(http::FieldName::kConnection) || head.has(http::FieldName::kProxyConnection) ||
      head.has(http::FieldName::kKeepAlive) || head.has(http::FieldName::kUpgrade)) {
    remove_hop_by_hop(head, base, head.upgrade, editor);
  }
  Values values;
  RequestFacts before_routing = facts;
  before_routing.backend = nullptr;
  apply_rules(*facts.frontend, before_routing, values, editor);
  if (facts.backend != nullptr && facts.backend != facts.frontend) {
    apply_rules(*facts.backend, facts, values, editor);
  }
  if (const auto* forward = forward_for(facts); forward != nullptr && !facts.client_ip.empty()) {
    const bool there = forward->if_none && http::find_field(head, base, forward->header) != nullptr;
    const bool excepted =
        forward->except_network && in_network(facts.client->ip_bytes(), *forward->except_network,
                                              forward->except_prefix_length);
    if (!there && !excepted) static_cast<void>(editor.append(forward->header, facts.client_ip));
  }
  if (head.upgrade) {
    static_cast<void>(editor.append("Connection", "Upgrade"));
  } else if (facts.frontend->connection_mode != HttpConnectionMode::kKeepAlive ||
             (facts.backend != nullptr &&
              facts.backend->connection_mode != HttpConnectionMode::kKeepAlive)) {
    // Either side's word ends the server's connection (section 4.2, "option http-server-close").
    // HTTP/1.0 ends it without being told.
    if (head.version == http::Version::kHttp11) {
      static_cast<void>(editor.append("Connection", "close"));
    }
  } else if (head.version == http::Version::kHttp10) {
    static_cast<void>(editor.append("Connection", "keep-alive"));
  }
  editor.render(out);
}

void edit_response(const http::ResponseHead& head, const char* base, http::Version client_version,
                   bool keep_client, bool dechunk, http::HeadEditor& editor) {
  if (head.tunnel) return;  // Connection: upgrade is the client's to see
  if (head.has(http::FieldName::kConnection) || head.has(http::FieldName::kProxyConnection) ||
      head.has(http::FieldName::kKeepAlive)) {
    // Upgrade stays: a 426 names with it what the server wants.
    remove_hop_by_hop(head, base, true, editor);
  }
  if (head.version == http::Version::kHttp10 && client_version == http::Version::kHttp11) {
    // We answer with our own version (RFC 9110, section 2.5); the framing is the same.
    editor.replace_in_start_line(http::Slice{head.start_line.offset, 8}, "HTTP/1.1");
  }
  if (dechunk) editor.remove_all(http::FieldName::kTransferEncoding);
  if (!keep_client) {
    static_cast<void>(editor.append("Connection", "close"));
  } else if (client_version == http::Version::kHttp10) {
    static_cast<void>(editor.append("Connection", "keep-alive"));
  }
}

}  // namespace nines::proxy
