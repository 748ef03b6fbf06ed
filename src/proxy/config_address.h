// Addresses as "bind", "server" and "log" write them, sections 4.2, 5.1 and 5.2. Internal to the
// parser.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "proxy/config_statement.h"

namespace nines::proxy {

// A range of ports makes one listener a port.
inline constexpr int kPortsPerBindMax = 4096;

// All listeners of "bind ADDRESS[,ADDRESS]*"; what is wrong is complained about and left out.
std::vector<BindConfig> parse_bind_addresses(Statement& statement, const Word& word);

// "IP:PORT" or a Unix path.
std::optional<SocketAddress> parse_server_address(Statement& statement, const Word& word);

// "IP[:PORT]" (514 when absent) or a Unix path.
std::optional<SocketAddress> parse_log_address(Statement& statement, const Word& word);

// "IP" or "IP/LENGTH".
struct Network {
  SocketAddress address;
  int prefix_length = 0;
};
std::optional<Network> parse_network(Statement& statement, const Word& word);

}  // namespace nines::proxy
