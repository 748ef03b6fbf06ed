// Ports are collected from both lists and sorted, so that two ways to say the same are the same.
#include "node/dead_peers_config.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>

#include "node/yaml_reader.h"
#include "text/suggest.h"
#include "text/units.h"

namespace nines::node {
namespace {

constexpr std::array<std::uint16_t, 2> kNever = {22, 7402};
constexpr std::string_view kPortsAllowed = "a list of up to 64 TCP ports, but 22 and 7402";

class Reader {
 public:
  Reader(YamlReader& yaml, const std::vector<std::string_view>& nodes)
      : yaml_(yaml), nodes_(nodes), ports_(default_ports()) {}

  DeadPeersConfig read(fy_node* section) {
    if (section != nullptr && fy_node_is_scalar(section)) {
      read_word(section);
      return std::move(config_);
    }
    const std::array<YamlReader::Key, 8> keys = {{
        {"silence",
         [this](fy_node* value) {
           read_duration(value, kDeadSilenceLeast, kDeadSilenceMost, "500ms to 1m, as in 1s",
                         config_.silence);
         }},
        {"hold_down",
         [this](fy_node* value) {
           read_duration(value, {}, kDeadHoldDownMost, "0s to 1h, as in 1m", config_.hold_down);
         }},
        {"ports",
         [this](fy_node* value) {
           ports_.clear();
           read_ports(value, ports_);
         }},
        {"more_ports", [this](fy_node* value) { read_ports(value, more_ports_); }},
        {"stand_in", [this](fy_node* value) { read_stand_in(value); }},
        {"listeners", [this](fy_node* value) { read_listeners(value); }},
        {"not_covered", [this](fy_node* value) { read_not_covered(value); }},
        {"addresses", [this](fy_node* value) { read_addresses(value); }},
    }};
    yaml_.read_mapping(section, "'dead_peers'", keys);
    ports_.insert(more_ports_.begin(), more_ports_.end());
    if (ports_.size() > kDeadPortsMax) {
      yaml_
          .error(YamlReader::span_of(section),
                 std::to_string(ports_.size()) + " ports in 'dead_peers'")
          .with_allowed(kPortsAllowed);
    }
    config_.ports.assign(ports_.begin(), ports_.end());
    settle_stand_in();
    return std::move(config_);
  }

 private:
  static std::set<std::uint16_t> default_ports() {
    const auto& ports = dead_ports_default();
    return {ports.begin(), ports.end()};
  }

  void read_word(fy_node* value) {
    const std::string_view word = YamlReader::word_of(value);
    if (word == "on" || word == "off") {
      config_.on = word == "on";
      return;
    }
    yaml_.error(YamlReader::span_of(value), "'dead_peers' is neither a switch nor a mapping")
        .with_found(word)
        .with_allowed(
            "on, off, or silence, hold_down, ports, more_ports, stand_in, listeners, not_covered, "
            "addresses");
  }

  void read_duration(fy_node* value, Duration least, Duration most, std::string_view allowed,
                     Duration& duration) {
    const std::string_view word = YamlReader::word_of(value);
    const auto parsed = text::parse_duration(word, std::chrono::seconds(1));
    if (parsed.has_value() && *parsed >= least && *parsed <= most) {
      duration = *parsed;
      return;
    }
    yaml_.error(YamlReader::span_of(value), "no such duration")
        .with_found(word)
        .with_allowed(allowed);
  }

  void read_stand_in(fy_node* value) {
    stand_in_.emplace();
    if (value != nullptr && YamlReader::word_of(value) == "off") return;
    read_ports(value, *stand_in_);
    stand_in_at_ = YamlReader::span_of(value);
    if (stand_in_->size() > kStandInPortsMax) {
      yaml_.error(stand_in_at_, std::to_string(stand_in_->size()) + " ports in 'stand_in'")
          .with_allowed("off, or up to 8 of the ports on which a dead host is dead");
    }
  }

  // Once all ports are known: the default gives way to them, what was asked for does not.
  void settle_stand_in() {
    config_.stand_in.clear();
    if (!stand_in_) {
      if (ports_.contains(kStandInDefault)) config_.stand_in = {kStandInDefault};
      return;
    }
    for (const std::uint16_t port : *stand_in_) {
      if (!ports_.contains(port)) {
        yaml_.error(stand_in_at_, "nobody can stand in where a dead host is not dead")
            .with_found(std::to_string(port))
            .with_allowed("ports of 'ports' and 'more_ports', or of their default");
      }
      config_.stand_in.push_back(port);
    }
  }

  void read_listeners(fy_node* value) {
    const std::string_view word = YamlReader::word_of(value);
    if (word != "true" && word != "false") {
      yaml_.error(YamlReader::span_of(value), "neither yes nor no")
          .with_found(word)
          .with_allowed("true, false");
    }
    config_.listeners = word == "true";
  }

  void read_not_covered(fy_node* value) {
    constexpr std::string_view kAllowed =
        "a list of up to 32 names, as `ip netns` has them; '*' at the end stands for any rest";
    if (value == nullptr || !fy_node_is_sequence(value)) {
      yaml_.error(YamlReader::span_of(value), "networks are a list").with_allowed(kAllowed);
      return;
    }
    void* position = nullptr;
    while (fy_node* const each = fy_node_sequence_iterate(value, &position)) {
      const std::string_view word = YamlReader::word_of(each);
      const auto star = word.find('*');
      if (word.empty() || (star != word.npos && star + 1 != word.size()) ||
          config_.not_covered.size() == kNotCoveredMax) {
        yaml_.error(YamlReader::span_of(each), "no name of a network")
            .with_found(word)
            .with_allowed(kAllowed);
        continue;
      }
      config_.not_covered.emplace_back(word);
    }
  }

  void read_ports(fy_node* value, std::set<std::uint16_t>& ports) {
    if (value == nullptr || !fy_node_is_sequence(value)) {
      yaml_.error(YamlReader::span_of(value), "ports are a list")
          .with_found(YamlReader::word_of(value))
          .with_allowed(kPortsAllowed);
      return;
    }
    void* position = nullptr;
    while (fy_node* const each = fy_node_sequence_iterate(value, &position)) {
      const std::string_view word = YamlReader::word_of(each);
      const auto port = text::parse_integer(word);
      if (!port.has_value() || *port < 1 || *port > 65535) {
        yaml_.error(YamlReader::span_of(each), "no port")
            .with_found(word)
            .with_allowed("1 to 65535");
        continue;
      }
      const auto number = static_cast<std::uint16_t>(*port);
      if (std::find(kNever.begin(), kNever.end(), number) != kNever.end()) {
        yaml_
            .error(YamlReader::span_of(each), number == 22
                                                  ? "SSH is the way in for whoever mends the host"
                                                  : "this port is nines' own")
            .with_found(word)
            .with_allowed(kPortsAllowed);
        continue;
      }
      ports.insert(number);
    }
  }

  void read_addresses(fy_node* value) {
    if (value == nullptr || !fy_node_is_mapping(value)) {
      yaml_.error(YamlReader::span_of(value), "'addresses' is a mapping of nodes to addresses")
          .with_allowed("node01: [192.0.2.41]");
      return;
    }
    void* position = nullptr;
    while (fy_node_pair* const pair = fy_node_mapping_iterate(value, &position)) {
      fy_node* const name = fy_node_pair_key(pair);
      const std::string_view word = YamlReader::word_of(name);
      if (std::find(nodes_.begin(), nodes_.end(), word) == nodes_.end()) {
        text::Diagnostic& unknown =
            yaml_.error(YamlReader::span_of(name), "no node of the cluster");
        unknown.with_found(word);
        if (const auto near = text::suggest(word, nodes_)) {
          unknown.with_help("did you mean '" + std::string(*near) + "'?");
        }
        continue;
      }
      read_node_addresses(std::string(word), fy_node_pair_value(pair));
    }
  }

  void read_node_addresses(const std::string& node, fy_node* value) {
    if (value == nullptr || !fy_node_is_sequence(value)) {
      yaml_.error(YamlReader::span_of(value), "addresses are a list")
          .with_allowed("[192.0.2.41, 2001:db8::41]");
      return;
    }
    std::vector<SocketAddress>& addresses = config_.addresses[node];
    void* position = nullptr;
    while (fy_node* const each = fy_node_sequence_iterate(value, &position)) {
      const std::string_view word = YamlReader::word_of(each);
      const auto address = SocketAddress::parse_ip(word, 0);
      if (!address || address->is_wildcard()) {
        yaml_.error(YamlReader::span_of(each), "no address of a host")
            .with_found(word)
            .with_allowed("an IP address, without a port");
      } else if (!seen_.insert(*address).second) {
        yaml_.error(YamlReader::span_of(each), "this address was given before").with_found(word);
      } else {
        addresses.push_back(*address);
      }
    }
    if (addresses.size() > kDeadAddressesMax) {
      yaml_
          .error(YamlReader::span_of(value),
                 std::to_string(addresses.size()) + " addresses of '" + node + "'")
          .with_allowed("up to 4 besides its own");
    }
  }

  YamlReader& yaml_;
  const std::vector<std::string_view>& nodes_;
  DeadPeersConfig config_;
  std::set<std::uint16_t> ports_, more_ports_;
  std::optional<std::set<std::uint16_t>> stand_in_;  // none: the default
  text::Span stand_in_at_{};
  std::set<SocketAddress> seen_;
};

}  // namespace

const std::vector<std::uint16_t>& dead_ports_default() {
  static const std::vector<std::uint16_t> ports = {
      80,   443,  2379, 3306, 4369, 5000, 5050, 5671, 5672,  6080,  6082,  6083,  6379, 6385,
      6641, 6642, 8000, 8004, 8041, 8042, 8080, 8774, 8775,  8776,  8778,  8779,  8780, 8786,
      8989, 9001, 9191, 9292, 9311, 9511, 9696, 9876, 11211, 15672, 15868, 25672, 26379};
  return ports;
}

bool names_network(const std::vector<std::string>& not_covered, std::string_view network) {
  return std::any_of(not_covered.begin(), not_covered.end(), [&](std::string_view each) {
    if (!each.ends_with('*')) return each == network;
    each.remove_suffix(1);
    return network.starts_with(each);
  });
}

DeadPeersConfig read_dead_peers_config(YamlReader& reader, fy_node* section,
                                       const std::vector<std::string_view>& nodes) {
  return Reader(reader, nodes).read(section);
}

}  // namespace nines::node
