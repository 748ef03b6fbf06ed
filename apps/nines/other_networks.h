// Other network namespaces of this host, and the programs in them that speak to services' ports:
// what is done about a dead controller does not reach them, and `nines status` says so.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace nines {

struct OtherNetwork {
  std::string name;                // as `ip netns` has it; else the process's, "pid 812"
  std::set<std::string> programs;  // that run there, at most kProgramsMax
  int connections = 0;             // TCP sockets there whose peer's port is one of those asked for

  friend bool operator==(const OtherNetwork&, const OtherNetwork&) = default;
};
inline constexpr std::size_t kProgramsMax = 5;
inline constexpr std::size_t kOtherNetworksMax = 64;  // further ones are counted nowhere

// `process` is who is reached: networks that are not its own and have connections to the ports.
// `proc` is /proc and `names` /run/netns, or what stands for them. By name. What cannot be read (a
// process that ended, no right) is left out.
std::vector<OtherNetwork> find_other_networks(const std::string& proc, const std::string& names,
                                              int process, const std::set<std::uint16_t>& ports);

// TCP sockets in the text of /proc/net/tcp or tcp6 (proc(5)) that have a peer at one of the ports.
int count_connections(std::string_view table, const std::set<std::uint16_t>& ports);

}  // namespace nines
