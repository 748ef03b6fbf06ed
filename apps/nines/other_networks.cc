// /proc has each process's network as a link "net:[4026531840]", and that network's sockets below
// any process in it.
#include "other_networks.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>

#include <sys/stat.h>

#include "io/linux/files.h"

namespace nines {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPeerColumn = 2;  // after the number and our own end
constexpr std::string_view kNoPeer = "0000";

std::string_view take_word(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const auto word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size());
  return word;
}

std::string link_of(const fs::path& path) {
  std::error_code failed;
  const auto target = fs::read_symlink(path, failed);
  return failed ? std::string() : target.string();
}

std::string text_of(const fs::path& path) {
  io::LinuxFiles files;
  const auto text = files.read(path.string());
  return text.has_value() ? *text : std::string();
}

// By what /proc calls them: "net:[INODE]".
std::map<std::string, std::string> names_of_networks(const std::string& directory) {
  std::map<std::string, std::string> names;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    struct stat found {};
    if (::stat(entry.path().c_str(), &found) != 0) continue;
    names["net:[" + std::to_string(found.st_ino) + "]"] = entry.path().filename().string();
  }
  return names;
}

}  // namespace

int count_connections(std::string_view table, const std::set<std::uint16_t>& ports) {
  int count = 0;
  while (!table.empty()) {
    std::string_view line = table.substr(0, table.find('\n'));
    table.remove_prefix(std::min(line.size() + 1, table.size()));
    std::string_view peer;
    for (std::size_t i = 0; i <= kPeerColumn; ++i) peer = take_word(line);
    const auto colon = peer.rfind(':');
    if (colon == std::string_view::npos || peer.substr(colon + 1) == kNoPeer) continue;
    const std::string_view digits = peer.substr(colon + 1);
    std::uint16_t port = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port, 16);
    if (parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size()) {
      count += ports.contains(port) ? 1 : 0;
    }
  }
  return count;
}

std::vector<OtherNetwork> find_other_networks(const std::string& proc, const std::string& names,
                                              int process, const std::set<std::uint16_t>& ports) {
  const std::string own = link_of(fs::path(proc) / std::to_string(process) / "ns/net");
  if (own.empty()) return {};
  const auto known = names_of_networks(names);
  std::map<std::string, OtherNetwork> found;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(proc, failed)) {
    const std::string number = entry.path().filename().string();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string network = link_of(entry.path() / "ns/net");
    if (network.empty() || network == own) continue;
    if (!found.contains(network) && found.size() >= kOtherNetworksMax) continue;
    const auto [at, is_new] = found.try_emplace(network);
    OtherNetwork& other = at->second;
    std::string program = text_of(entry.path() / "comm");
    program.erase(std::min(program.find('\n'), program.size()));
    if (!program.empty() && other.programs.size() < kProgramsMax) other.programs.insert(program);
    if (!is_new) continue;
    const auto name = known.find(network);
    other.name = name == known.end() ? "pid " + number : name->second;
    for (const char* table : {"net/tcp", "net/tcp6"}) {
      other.connections += count_connections(text_of(entry.path() / table), ports);
    }
  }
  std::vector<OtherNetwork> result;
  for (auto& [network, other] : found) {
    if (other.connections > 0) result.push_back(std::move(other));
  }
  std::sort(result.begin(), result.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return result;
}

}  // namespace nines
