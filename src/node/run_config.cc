// libfyaml makes the document; a table of keys for each mapping says what may stand in it.
#include "node/run_config.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "node/yaml_reader.h"
#include "text/suggest.h"
#include "text/units.h"

namespace nines::node {

namespace {

class Reader : private YamlReader {
 public:
  Reader(const text::SourceFile& file, std::string_view host_name)
      : YamlReader(file, loaded_.diagnostics), host_name_(host_name) {}

  LoadedRunConfig read() {
    const Document document = parse();
    if (!loaded_.ok()) return std::move(loaded_);
    // A text of comments alone makes no document, or one whose root is null.
    fy_node* const root = document ? fy_document_root(document.get()) : nullptr;
    if (root == nullptr || is_null(root)) {
      error({}, "nothing is configured").with_allowed("haproxy, keepalived");
      return std::move(loaded_);
    }
    const std::array<Key, 6> keys = {{
        {"haproxy", [this](fy_node* value) { read_paths(value); }},
        {"keepalived", [this](fy_node* value) { loaded_.config.keepalived = path_of(value); }},
        {"control", [this](fy_node* value) { loaded_.config.control = path_of(value); }},
        {"stop", [this](fy_node* value) { read_stop(value); }},
        {"cluster", [this](fy_node* value) { read_cluster(value); }},
        {"galera",
         [this](fy_node* value) {
           loaded_.config.galera = read_galera_config(*this, value, host_name_);
         }},
    }};
    read_mapping(root, "the configuration", keys);
    const RunConfig& config = loaded_.config;
    const bool witness = config.cluster && config.cluster->is_witness();
    const bool listener = config.cluster && !config.cluster->listener.empty();
    if (loaded_.ok() && listener && !config.keepalived.empty()) {
      error(span_of(root), "a listener holds no addresses")
          .with_help("leave 'keepalived' out on this host, or make it a node of the cluster");
    }
    if (loaded_.ok() && witness && !config.keepalived.empty()) {
      error(span_of(root), "a witness holds no addresses")
          .with_help("leave 'keepalived' out on this host, or take 'witness' from its node");
    }
    if (loaded_.ok() && config.haproxy.empty() && config.keepalived.empty() && !config.galera &&
        !witness && !listener) {
      error(span_of(root), "nothing to run")
          .with_allowed("haproxy, keepalived, galera, or several");
    }
    return std::move(loaded_);
  }

 private:
  void read_paths(fy_node* value) {
    if (value == nullptr || !fy_node_is_sequence(value)) {
      if (std::string path = path_of(value); !path.empty()) {
        loaded_.config.haproxy.push_back(std::move(path));
      }
      return;
    }
    void* position = nullptr;
    while (fy_node* const each = fy_node_sequence_iterate(value, &position)) {
      if (std::string path = path_of(each); !path.empty()) {
        loaded_.config.haproxy.push_back(std::move(path));
      }
    }
    if (loaded_.ok() && loaded_.config.haproxy.empty()) {
      error({}, "'haproxy' is an empty list").with_allowed("one path or more");
    }
  }

  void read_stop(fy_node* value) {
    const std::array<Key, 1> keys = {{
        {"drain", [this](fy_node* each) { loaded_.config.drain = drain_of(each); }},
    }};
    read_mapping(value, "'stop'", keys);
  }

  Duration drain_of(fy_node* value) {
    constexpr std::string_view kAllowed = "0s to 10m, as in 500ms or 3s";
    const std::string_view word =
        value != nullptr && fy_node_is_scalar(value) ? scalar(value) : std::string_view();
    const auto duration = text::parse_duration(word, std::chrono::seconds(1));
    if (duration.has_value() && *duration >= Duration{} && *duration <= kDrainMax) {
      return *duration;
    }
    error(span_of(value), "no such duration").with_found(word).with_allowed(kAllowed);
    return kDrainDefault;
  }

  // -- the cluster --------------------------------------------------------------------------------

  void read_cluster(fy_node* section) {
    ClusterConfig& cluster = loaded_.config.cluster.emplace();
    fy_node* self = nullptr;
    fy_node* dead_peers = nullptr;
    fy_node* listener = nullptr;
    bool has_key = false, has_nodes = false;
    const std::array<Key, 9> keys = {{
        {"key",
         [&](fy_node* value) {
           has_key = true;
           cluster.key = path_of(value);
         }},
        {"state", [&](fy_node* value) { cluster.state = path_of(value); }},
        {"nodes",
         [&](fy_node* value) {
           has_nodes = true;
           read_nodes(value, cluster);
         }},
        {"self", [&](fy_node* value) { self = value; }},
        {"listener", [&](fy_node* value) { listener = value; }},
        {"term", [&](fy_node* value) { cluster.term = term_of(value); }},
        {"advertise", [&](fy_node* value) { cluster.advertise = flag_of(value); }},
        {"tell_sessions", [&](fy_node* value) { cluster.tell_sessions = flag_of(value); }},
        {"dead_peers", [&](fy_node* value) { dead_peers = value; }},
    }};
    read_mapping(section, "'cluster'", keys);
    if (section == nullptr || !fy_node_is_mapping(section)) return;
    if (!has_key) {
      error(span_of(section), "the cluster has no key")
          .with_allowed("key: the path of a file that 'nines cluster keygen' made");
    }
    if (!has_nodes) {
      error(span_of(section), "the cluster has no nodes")
          .with_allowed("nodes: a mapping of 1 to 15 names");
    }
    if (dead_peers != nullptr) read_dead_peers(dead_peers, cluster);
    if (listener != nullptr || cluster.dead_peers.listeners) refuse_last_ports();
    if (listener != nullptr) {
      read_listener(listener, self, cluster);
    } else if (!cluster.nodes.empty()) {
      find_self(self, span_of(section), cluster);
    }
    std::sort(cluster.nodes.begin(), cluster.nodes.end(),
              [](const ClusterNode& a, const ClusterNode& b) { return a.id < b.id; });
  }

  // Listeners are told on the port after the cluster's own.
  void refuse_last_ports() {
    for (fy_node* const value : last_ports_) {
      error(span_of(value), "no port is left after this one for listeners")
          .with_found(word_of(value))
          .with_allowed("a port of 1 to 65534: listeners are told on the next one");
    }
  }

  void read_listener(fy_node* value, fy_node* self, ClusterConfig& cluster) {
    cluster.listener = word_of(value);
    if (!is_node_name(cluster.listener)) {
      error(span_of(value), "no name for a listener")
          .with_found(cluster.listener)
          .with_allowed("1 to 64 letters, digits, '-', '_' and '.'");
    }
    if (self != nullptr) {
      error(span_of(self), "a listener is none of the nodes")
          .with_help("leave 'self' out, or 'listener'");
    }
    for (const ClusterNode& node : cluster.nodes) {
      if (node.name != cluster.listener) continue;
      error(span_of(value), "a node of the cluster, which needs no listener")
          .with_found(cluster.listener);
    }
    if (cluster.dead_peers.silence != kDeadSilenceDefault || cluster.dead_peers.listeners) {
      error(span_of(value), "'silence' and 'listeners' are the nodes' business")
          .with_help("leave them out of 'dead_peers' on a host that listens");
    }
  }

  void read_dead_peers(fy_node* section, ClusterConfig& cluster) {
    std::vector<std::string_view> names;
    for (const ClusterNode& node : cluster.nodes) names.push_back(node.name);
    cluster.dead_peers = read_dead_peers_config(*this, section, names);
  }

  void read_nodes(fy_node* value, ClusterConfig& cluster) {
    constexpr std::string_view kAllowed = "1 to 15 names, each with {id: N, addresses: [...]}";
    if (value == nullptr || !fy_node_is_mapping(value)) {
      error(span_of(value), "'nodes' is a mapping of names to nodes").with_allowed(kAllowed);
      return;
    }
    void* position = nullptr;
    while (fy_node_pair* const pair = fy_node_mapping_iterate(value, &position)) {
      fy_node* const name = fy_node_pair_key(pair);
      const std::string_view word = fy_node_is_scalar(name) ? scalar(name) : std::string_view();
      if (!is_node_name(word)) {
        error(span_of(name), "no name for a node")
            .with_found(word)
            .with_allowed("1 to 64 letters, digits, '-', '_' and '.'");
      }
      if (cluster.nodes.size() == kClusterNodesMax) {
        error(span_of(name), "too many nodes").with_allowed(kAllowed);
        return;
      }
      cluster.nodes.push_back(read_node(name, word, fy_node_pair_value(pair), cluster));
    }
    if (cluster.nodes.empty()) {
      error(span_of(value), "'nodes' is empty").with_allowed(kAllowed);
    } else if (cluster.nodes.size() == 2) {
      loaded_.diagnostics
          .warning(span_of(value), "of two nodes neither may own anything while the other is down")
          .with_help(
              "a third node decides who may; it may be a witness: {id: N, addresses: [...], "
              "witness: true}");
    }
    const auto is_witness = [](const ClusterNode& node) { return node.witness; };
    if (!cluster.nodes.empty() &&
        std::all_of(cluster.nodes.begin(), cluster.nodes.end(), is_witness)) {
      error(span_of(value), "all nodes are witnesses: nobody may own anything")
          .with_allowed("witness: true for those that hold no address");
    }
  }

  static bool is_node_name(std::string_view name) {
    constexpr std::string_view kMarks = "-_.";
    return !name.empty() && name.size() <= kNodeNameMax &&
           std::all_of(name.begin(), name.end(), [&](char c) {
             return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    kMarks.find(c) != kMarks.npos;
           });
  }

  ClusterNode read_node(fy_node* name, std::string_view word, fy_node* value,
                        const ClusterConfig& cluster) {
    ClusterNode node{.name = std::string(word), .id = 0, .addresses = {}};
    bool has_id = false, has_addresses = false;
    const std::array<Key, 3> keys = {{
        {"witness", [&](fy_node* each) { node.witness = flag_of(each); }},
        {"id",
         [&](fy_node* each) {
           has_id = true;
           node.id = id_of(each, cluster);
         }},
        {"addresses",
         [&](fy_node* each) {
           has_addresses = true;
           read_addresses(each, node, cluster);
         }},
    }};
    read_mapping(value, "a node", keys);
    if (value == nullptr || !fy_node_is_mapping(value)) return node;
    if (!has_id) error(span_of(name), "the node has no id").with_allowed("id: 1 to 63");
    if (!has_addresses) {
      error(span_of(name), "the node has no addresses")
          .with_allowed("addresses: a list with one on each network");
    }
    return node;
  }

  bool flag_of(fy_node* value) {
    const std::string_view word = word_of(value);
    if (word != "true" && word != "false") {
      error(span_of(value), "neither yes nor no").with_found(word).with_allowed("true, false");
    }
    return word == "true";
  }

  std::uint8_t id_of(fy_node* value, const ClusterConfig& cluster) {
    const std::string_view word = word_of(value);
    const auto id = text::parse_integer(word);
    if (!id || *id < 1 || *id > kClusterNodeIdMax) {
      error(span_of(value), "no id of a node").with_found(word).with_allowed("1 to 63");
      return 0;
    }
    for (const ClusterNode& other : cluster.nodes) {
      if (other.id != *id) continue;
      error(span_of(value), "node '" + other.name + "' has this id already").with_found(word);
    }
    return static_cast<std::uint8_t>(*id);
  }

  void read_addresses(fy_node* value, ClusterNode& node, const ClusterConfig& cluster) {
    if (value == nullptr || !fy_node_is_sequence(value)) {
      node.addresses.push_back(address_of(value, node, cluster));
    } else {
      void* position = nullptr;
      while (fy_node* const each = fy_node_sequence_iterate(value, &position)) {
        node.addresses.push_back(address_of(each, node, cluster));
      }
    }
    if (node.addresses.empty() || node.addresses.size() > kClusterNetworksMax) {
      error(span_of(value), std::to_string(node.addresses.size()) + " addresses")
          .with_allowed("1 to 4, one on each network");
    } else if (!cluster.nodes.empty() && !cluster.nodes.front().addresses.empty() &&
               node.addresses.size() != cluster.nodes.front().addresses.size()) {
      const ClusterNode& first = cluster.nodes.front();
      error(span_of(value), "node '" + node.name + "' is on " + networks(node) + ", but '" +
                                first.name + "' on " + networks(first))
          .with_allowed("one address for each network, in the same order on all nodes");
    }
  }

  static std::string networks(const ClusterNode& node) {
    const std::size_t count = node.addresses.size();
    return std::to_string(count) + (count == 1 ? " network" : " networks");
  }

  SocketAddress address_of(fy_node* value, const ClusterNode& node, const ClusterConfig& cluster) {
    const std::string_view word = word_of(value);
    auto address = SocketAddress::parse_ip(word, kClusterPortDefault);
    if (!address) address = SocketAddress::parse(word);
    if (!address || !address->is_ip() || address->port() == 0 || address->is_wildcard()) {
      error(span_of(value), "no address of a node")
          .with_found(word)
          .with_allowed(
              "an IP address, and a port unless it is 7402: 192.0.2.1, "
              "192.0.2.1:7500, 2001:db8::1, '[2001:db8::1]:7500'");
      return {};
    }
    if (address->port() == kPortLast) last_ports_.push_back(value);
    const auto refuse_repeated = [&](const ClusterNode& other) {
      if (std::find(other.addresses.begin(), other.addresses.end(), *address) !=
          other.addresses.end()) {
        error(span_of(value), "node '" + other.name + "' has this address already")
            .with_found(word);
      }
    };
    for (const ClusterNode& other : cluster.nodes) refuse_repeated(other);
    refuse_repeated(node);
    const std::size_t network = node.addresses.size();
    if (!cluster.nodes.empty() && network < cluster.nodes.front().addresses.size()) {
      const SocketAddress& first = cluster.nodes.front().addresses[network];
      if (first.is_ip() && first.family() != address->family()) {
        error(span_of(value), "IPv4 and IPv6 on one network")
            .with_found(word)
            .with_allowed("addresses of the same kind as '" + cluster.nodes.front().name +
                          "' has there");
      }
    }
    return *address;
  }

  void find_self(fy_node* value, text::Span section, ClusterConfig& cluster) {
    const bool is_told = value != nullptr;
    const std::string_view word = is_told ? word_of(value) : host_name_;
    const std::string_view first_part = word.substr(0, word.find('.'));
    std::vector<std::string_view> names;
    std::string allowed;
    for (const std::string_view wanted : {word, is_told ? word : first_part}) {
      for (const ClusterNode& node : cluster.nodes) {
        if (cluster.self == 0 && node.name == wanted) cluster.self = node.id;
      }
    }
    for (const ClusterNode& node : cluster.nodes) {
      names.push_back(node.name);
      allowed += (allowed.empty() ? "" : ", ") + node.name;
      if (node.name == word || (!is_told && node.name == first_part)) return;
    }
    text::Diagnostic& unknown =
        is_told ? error(span_of(value), "'self' is none of the nodes")
                : error(section, "this host's name is none of the nodes, and 'self' is not said");
    unknown.with_found(word).with_allowed(allowed);
    if (const auto near = text::suggest(word, names); near && is_told) {
      unknown.with_help("did you mean '" + std::string(*near) + "'?");
    }
  }

  Duration term_of(fy_node* value) {
    const std::string_view word = word_of(value);
    const auto duration = text::parse_duration(word, std::chrono::seconds(1));
    if (duration.has_value() && *duration >= kTermLeast && *duration <= kTermMost) {
      return *duration;
    }
    error(span_of(value), "no term for an address's lease")
        .with_found(word)
        .with_allowed("50ms to 10s, as in 120ms");
    return kTermDefault;
  }

  static constexpr std::uint16_t kPortLast = 65535;

  const std::string_view host_name_;
  LoadedRunConfig loaded_;
  std::vector<fy_node*> last_ports_;  // addresses of nodes that have kPortLast
};

}  // namespace

bool ClusterConfig::is_witness() const {
  return std::any_of(nodes.begin(), nodes.end(),
                     [&](const ClusterNode& node) { return node.id == self && node.witness; });
}

LoadedRunConfig load_run_config(const text::SourceFile& file, std::string_view host_name) {
  LoadedRunConfig loaded = Reader(file, host_name).read();
  loaded.diagnostics.sort();
  return loaded;
}

}  // namespace nines::node
