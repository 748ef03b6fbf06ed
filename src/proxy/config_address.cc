// One grammar for all: [FAMILY@]HOST[:PORT], a path, fd@N. No name is resolved: a balancer that
// must start while the name server is down cannot depend on it.
#include "proxy/config_address.h"

#include <string>

#include "text/units.h"

namespace nines::proxy {
namespace {

constexpr int kPortMax = 65535;
constexpr std::uint16_t kSyslogPort = 514;
constexpr std::size_t kUnixPathMax = 107;  // sun_path less its NUL

// A part of a word, with its place.
struct Piece {
  const Word& word;
  std::size_t begin, end;
  std::string_view text() const { return std::string_view(word.text).substr(begin, end - begin); }
  text::Span span() const { return word.part(begin, end); }
};

enum class Family : std::uint8_t { kAny, kIpv4, kIpv6, kUnix, kDescriptor };

text::Diagnostic& complain(Statement& statement, const Piece& piece, std::string_view message) {
  return statement.error_at(piece.span(), message).with_found(piece.text());
}

// Takes "ipv4@" and the like off the front.
std::optional<Family> take_family(Statement& statement, Piece& piece) {
  const std::string_view text = piece.text();
  if (text.starts_with('/')) return Family::kUnix;
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) return Family::kAny;
  const std::string_view name = text.substr(0, at);
  const Piece prefix{piece.word, piece.begin, piece.begin + at + 1};
  piece.begin += at + 1;
  if (name == "ipv4") return Family::kIpv4;
  if (name == "ipv6") return Family::kIpv6;
  if (name == "unix") return Family::kUnix;
  if (name == "fd") return Family::kDescriptor;
  for (const std::string_view known :
       {"abns", "sockpair", "udp", "udp4", "udp6", "quic4", "quic6", "ring", "ip", "rhttp"}) {
    if (name != known) continue;
    complain(
        statement, prefix,
        "addresses of the kind '" + std::string(name) + "@' are known but not supported by nines")
        .with_allowed("IP:PORT, /PATH, unix@PATH, fd@N, ipv4@, ipv6@");
    return std::nullopt;
  }
  complain(statement, prefix, "unknown kind of address")
      .with_allowed("IP:PORT, /PATH, unix@PATH, fd@N, ipv4@, ipv6@");
  return std::nullopt;
}

std::optional<SocketAddress> parse_path(Statement& statement, const Piece& piece) {
  if (piece.text().empty() || piece.text().size() > kUnixPathMax) {
    complain(statement, piece, "a Unix socket's path has 1 to 107 bytes");
    return std::nullopt;
  }
  return SocketAddress::unix_path(std::string(piece.text()));
}

// "*", "", "1.2.3.4", "::1", "[::1]".
std::optional<SocketAddress> parse_host(Statement& statement, const Piece& piece, Family family,
                                        bool wildcard_allowed) {
  const std::string_view text = piece.text();
  if (text.empty() || text == "*") {
    if (!wildcard_allowed) {
      complain(statement, piece, "an IP address is wanted here");
      return std::nullopt;
    }
    // As HAProxy has it, no address means IPv4's.
    return family == Family::kIpv6 ? SocketAddress::ipv6({}, 0) : SocketAddress::ipv4({}, 0);
  }
  const auto address = SocketAddress::parse_ip(text, 0);
  if (!address.has_value()) {
    complain(statement, piece, "'" + std::string(text) + "' is not an IP address")
        .with_help(
            "host names are not resolved by nines; write the address (name servers may be "
            "down when it matters)");
    return std::nullopt;
  }
  const bool is_ipv4 = address->family() == SocketAddress::Family::kIpv4;
  if ((family == Family::kIpv4 && !is_ipv4) || (family == Family::kIpv6 && is_ipv4)) {
    complain(statement, piece, "this address is not of the family its prefix says");
    return std::nullopt;
  }
  return *address;
}

// Where the port's colon is. An IPv6 address without brackets keeps its colons when it has no port
// after a bracket: the last colon separates the port, as in HAProxy.
std::size_t port_colon(std::string_view text) {
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  if (bracket != std::string_view::npos && colon != std::string_view::npos && colon < bracket) {
    return std::string_view::npos;
  }
  return colon;
}

std::optional<int> parse_port(Statement& statement, const Piece& piece, int min) {
  const auto port = text::parse_integer(piece.text());
  if (!port.has_value() || *port < min || *port > kPortMax || piece.text()[0] == '+') {
    complain(statement, piece, "this is not a port")
        .with_allowed("a number from " + std::to_string(min) + " to 65535");
    return std::nullopt;
  }
  return static_cast<int>(*port);
}

// One address of a bind line; appends one BindConfig for each port.
void parse_bind_address(Statement& statement, Piece piece, std::vector<BindConfig>& out) {
  BindConfig bind;
  bind.text = std::string(piece.text());
  bind.place = statement.place();
  const auto family = take_family(statement, piece);
  if (!family) return;
  if (*family == Family::kDescriptor) {
    const auto number = text::parse_integer(piece.text());
    if (!number.has_value() || *number < 0 || *number > INT32_MAX) {
      complain(statement, piece, "'fd@' wants the number of an inherited descriptor");
      return;
    }
    bind.inherited_descriptor = static_cast<int>(*number);
    out.push_back(std::move(bind));
    return;
  }
  if (*family == Family::kUnix) {
    const auto path = parse_path(statement, piece);
    if (!path) return;
    bind.address = *path;
    out.push_back(std::move(bind));
    return;
  }
  const std::size_t colon = port_colon(piece.text());
  if (colon == std::string_view::npos) {
    complain(statement, piece, "the port is missing").with_allowed("ADDRESS:PORT, *:PORT or :PORT");
    return;
  }
  const auto host = parse_host(statement, {piece.word, piece.begin, piece.begin + colon}, *family,
                               /*wildcard_allowed=*/true);
  const Piece ports{piece.word, piece.begin + colon + 1, piece.end};
  const std::size_t dash = ports.text().find('-');
  const std::size_t split = dash == std::string_view::npos ? ports.end : ports.begin + dash;
  const auto first = parse_port(statement, {piece.word, ports.begin, split}, 1);
  auto last = first;
  if (first && dash != std::string_view::npos) {
    last = parse_port(statement, {piece.word, split + 1, ports.end}, 1);
  }
  if (!host || !first || !last) return;
  if (*last < *first || *last - *first >= kPortsPerBindMax) {
    complain(statement, ports, "this range of ports is upside down or too wide")
        .with_allowed("FIRST-LAST, at most " + std::to_string(kPortsPerBindMax) + " ports");
    return;
  }
  for (int port = *first; port <= *last; ++port) {
    bind.address = host->with_port(static_cast<std::uint16_t>(port));
    out.push_back(bind);
  }
}

}  // namespace

std::vector<BindConfig> parse_bind_addresses(Statement& statement, const Word& word) {
  std::vector<BindConfig> out;
  std::size_t begin = 0;
  while (begin <= word.text.size()) {
    const std::size_t comma = std::min(word.text.find(',', begin), word.text.size());
    parse_bind_address(statement, {word, begin, comma}, out);
    begin = comma + 1;
  }
  return out;
}

std::optional<SocketAddress> parse_server_address(Statement& statement, const Word& word) {
  Piece piece{word, 0, word.text.size()};
  const auto family = take_family(statement, piece);
  if (!family) return std::nullopt;
  if (*family == Family::kUnix) return parse_path(statement, piece);
  if (*family == Family::kDescriptor) {
    complain(statement, piece, "a server cannot be an inherited descriptor")
        .with_allowed("IP:PORT or /PATH");
    return std::nullopt;
  }
  // A bare IPv6 address has colons and no port.
  const bool bare = SocketAddress::parse_ip(piece.text(), 0).has_value();
  const std::size_t colon = bare ? std::string_view::npos : port_colon(piece.text());
  const Piece host_piece{word, piece.begin,
                         colon == std::string_view::npos ? piece.end : piece.begin + colon};
  const auto host = parse_host(statement, host_piece, *family, /*wildcard_allowed=*/false);
  if (!host) return std::nullopt;
  if (colon == std::string_view::npos) {
    statement
        .error_at(word.part(word.text.size(), word.text.size()), "the server's port is missing")
        .with_help(
            "a server on the port the client connected to is not supported by nines; write the "
            "port: " +
            host->with_port(80).text());
    return std::nullopt;
  }
  const Piece port_piece{word, piece.begin + colon + 1, piece.end};
  const std::string_view port_text = port_piece.text();
  if (port_text.starts_with('+') || port_text.starts_with('-')) {
    complain(statement, port_piece, "ports relative to the client's are not supported by nines")
        .with_help("write the server's port");
    return std::nullopt;
  }
  const auto port = parse_port(statement, port_piece, 1);
  if (!port) return std::nullopt;
  return host->with_port(static_cast<std::uint16_t>(*port));
}

std::optional<SocketAddress> parse_log_address(Statement& statement, const Word& word) {
  if (word.text == "stdout" || word.text == "stderr") {
    statement.error(word, "logging to '" + word.text + "' is known but not supported by nines")
        .with_allowed("IP[:PORT] or the path of a Unix socket such as /dev/log");
    return std::nullopt;
  }
  Piece piece{word, 0, word.text.size()};
  if (piece.text().starts_with("udp@")) piece.begin += 4;
  const auto family = take_family(statement, piece);
  if (!family) return std::nullopt;
  if (*family == Family::kUnix) return parse_path(statement, piece);
  if (*family == Family::kDescriptor) {
    complain(statement, piece, "logging to a descriptor is known but not supported by nines")
        .with_allowed("IP[:PORT] or the path of a Unix socket such as /dev/log");
    return std::nullopt;
  }
  const bool bare = SocketAddress::parse_ip(piece.text(), 0).has_value();
  const std::size_t colon = bare ? std::string_view::npos : port_colon(piece.text());
  if (colon == std::string_view::npos) {
    const auto host = parse_host(statement, piece, *family, /*wildcard_allowed=*/false);
    if (!host) return std::nullopt;
    return host->with_port(kSyslogPort);
  }
  const auto host = parse_host(statement, {word, piece.begin, piece.begin + colon}, *family,
                               /*wildcard_allowed=*/false);
  const auto port = parse_port(statement, {word, piece.begin + colon + 1, piece.end}, 1);
  if (!host || !port) return std::nullopt;
  return host->with_port(static_cast<std::uint16_t>(*port));
}

std::optional<Network> parse_network(Statement& statement, const Word& word) {
  const std::size_t slash = std::min(word.text.find('/'), word.text.size());
  const auto address = SocketAddress::parse_ip(std::string_view(word.text).substr(0, slash), 0);
  if (!address.has_value()) {
    statement.error(word, "an IP network is wanted here").with_allowed("IP or IP/LENGTH");
    return std::nullopt;
  }
  const int bits = address->family() == SocketAddress::Family::kIpv4 ? 32 : 128;
  if (slash == word.text.size()) return Network{*address, bits};
  const auto length = text::parse_integer(std::string_view(word.text).substr(slash + 1));
  if (!length.has_value() || *length < 0 || *length > bits) {
    statement.error_at(word.part(slash + 1, word.text.size()), "this is not a prefix length")
        .with_allowed("0 to " + std::to_string(bits));
    return std::nullopt;
  }
  return Network{*address, static_cast<int>(*length)};
}

}  // namespace nines::proxy
