// JSON first; words are made of the JSON alone, so that `nines status` says the same of a daemon of
// another version.
#include "cluster/cluster_view.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

namespace nines::cluster {
namespace {

using Json = nlohmann::ordered_json;

double milliseconds(Duration time) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(time).count()) /
         1000;
}

std::string_view state_of(const LinkStatus& link) {
  if (!link.ever_heard) return "never heard";
  if (!link.hears) return "silent";
  return link.is_heard ? "works" : "one way";
}

std::string hexadecimal(std::uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

class Renderer {
 public:
  explicit Renderer(const ClusterView& view) : view_(view) {
    for (const ClusterViewNode& node : view.nodes) names_[node.id] = node.name;
  }

  Json cluster() const {
    Json nodes = Json::array();
    for (const ClusterViewNode& node : view_.nodes) {
      const auto peer = std::find_if(view_.peers.begin(), view_.peers.end(),
                                     [&](const PeerStatus& each) { return each.node == node.id; });
      nodes.push_back(peer == view_.peers.end() ? self(node) : other(node, *peer));
    }
    Json leases = Json::array();
    for (const ClusterViewLease& each : view_.names) {
      leases.push_back({{"name", each.name},
                        {"wanted", each.wanted},
                        {"owner", name(each.sight.owner)},
                        {"epoch", each.sight.epoch},
                        {"remaining_ms", milliseconds(each.sight.remaining)}});
    }
    return {{"self", name(view_.self)},
            {"isolated", view_.isolated},
            {"voting", view_.leases.voting},
            {"learning", view_.leases.learning},
            {"voters",
             {{"generation", view_.leases.generation.number},
              {"nodes", names(view_.leases.generation.voters)}}},
            {"nodes", std::move(nodes)},
            {"leases", std::move(leases)}};
  }

 private:
  std::string name(NodeId node) const {
    if (node == 0) return "";
    const auto found = names_.find(node);
    return found == names_.end() ? "node " + std::to_string(node) : found->second;
  }
  Json names(NodeSet nodes) const {
    Json list = Json::array();
    nodes.for_each([&](NodeId node) { list.push_back(name(node)); });
    return list;
  }

  Json self(const ClusterViewNode& node) const {
    return {{"name", node.name},
            {"id", node.id},
            {"self", true},
            {"witness", node.witness},
            {"presence", view_.isolated ? "isolated" : "member"},
            {"standing", name_of(view_.standing)},
            {"incarnation", hexadecimal(view_.incarnation)},
            {"strain", view_.strain}};
  }

  Json other(const ClusterViewNode& node, const PeerStatus& peer) const {
    const bool known = peer.presence != Presence::kUnknown;
    Json links = Json::array();
    for (std::size_t i = 0; i < static_cast<std::size_t>(view_.networks); ++i) {
      links.push_back(link(i, node, peer.links[i]));
    }
    return {{"name", node.name},
            {"id", node.id},
            {"self", false},
            {"witness", node.witness},
            {"presence", name_of(peer.presence)},
            {"since_s", known ? milliseconds(view_.now - peer.since) / 1000 : 0.0},
            {"standing", name_of(peer.standing)},
            {"incarnation", hexadecimal(peer.incarnation)},
            {"strain", peer.strain},
            {"suspected_by", names(peer.suspected_by)},
            {"observers", names(peer.observers)},
            {"links", std::move(links)}};
  }

  static Json link(std::size_t index, const ClusterViewNode& node, const LinkStatus& status) {
    return {{"network", index + 1},
            {"address", index < node.addresses.size() ? node.addresses[index] : ""},
            {"state", state_of(status)},
            {"hears", status.hears},
            {"is_heard", status.is_heard},
            {"round_trip_ms", milliseconds(status.round_trip)},
            {"jitter_ms", milliseconds(status.jitter)},
            {"loss", status.loss},
            {"heard_ms_ago", milliseconds(status.silence)},
            {"allowed_ms", milliseconds(status.silence_allowed)}};
  }

  const ClusterView& view_;
  std::map<NodeId, std::string> names_;
};

// -- words ----------------------------------------------------------------------------------------

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

double number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

bool flag(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

Json list(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : Json::array();
}

std::string joined(const Json& names) {
  std::string all;
  for (const Json& each : names) {
    if (!each.is_string()) continue;
    all += (all.empty() ? "" : ", ") + each.get<std::string>();
  }
  return all.empty() ? "nobody" : all;
}

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char line[256];
  std::snprintf(line, sizeof line, pattern, values...);
  return line;
}

std::string link_words(const Json& link) {
  const std::string state = text(link, "state");
  std::string words =
      format("      network %.0f %s: ", number(link, "network"), text(link, "address").c_str());
  if (state == "never heard") return words + "never heard\n";
  if (state == "one way") words += "BROKEN, one way: it is heard and does not hear us";
  if (state == "silent") {
    words += format("BROKEN, silent for %.0f ms (%.0f allowed)", number(link, "heard_ms_ago"),
                    number(link, "allowed_ms"));
  }
  if (state == "works") words += "works";
  words += format(", round trip %.1f ms, loss %.0f %%", number(link, "round_trip_ms"),
                  100 * number(link, "loss"));
  if (state != "silent") words += format(", heard %.0f ms ago", number(link, "heard_ms_ago"));
  return words + "\n";
}

std::string node_words(const Json& node) {
  std::string words = "    " + text(node, "name") + ": " + text(node, "presence");
  if (flag(node, "self")) {
    words += " (this node)";
  } else if (text(node, "presence") != "unknown") {
    words += format(" for %.1f s", number(node, "since_s"));
  }
  if (flag(node, "witness")) words += ", a witness";
  if (text(node, "standing") != "serving") words += ", in " + text(node, "standing");
  if (number(node, "strain") > 0) {
    words += format(", distrusts its own clock (strain %.0f)", number(node, "strain"));
  }
  const Json by = list(node, "suspected_by");
  if (!by.empty()) {
    words +=
        ", suspected by " + joined(by) + " (watched by " + joined(list(node, "observers")) + ")";
  }
  words += "\n";
  for (const Json& link : list(node, "links")) words += link_words(link);
  return words;
}

}  // namespace

std::string render_cluster_json(const ClusterView& view) {
  return Renderer(view).cluster().dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string render_cluster_text(const std::string& json) {
  const Json cluster = Json::parse(json, nullptr, false);
  if (!cluster.is_object()) return "  cluster: the owner gave no answer that can be read\n";
  if (const std::string error = text(cluster, "error"); !error.empty()) {
    return "  cluster: " + error + "\n";
  }
  const Json voters = cluster.contains("voters") ? cluster["voters"] : Json::object();
  std::string words =
      format("  cluster: voters of generation %.0f are ", number(voters, "generation"));
  words += joined(list(voters, "nodes"));
  if (flag(cluster, "learning")) {
    words += "; this node asks the others what its disk does not know";
  } else if (!flag(cluster, "voting")) {
    words += "; this node does not vote";
  }
  if (flag(cluster, "isolated")) words += "; THIS NODE HEARS NOBODY, and judges nobody";
  words += "\n";
  for (const Json& node : list(cluster, "nodes")) words += node_words(node);
  for (const Json& lease : list(cluster, "leases")) {
    const std::string owner = text(lease, "owner");
    words += "    lease " + text(lease, "name") + ": ";
    words += owner.empty() ? "held by nobody"
                           : "held by " + owner +
                                 format(", epoch %.0f, %.0f ms left", number(lease, "epoch"),
                                        number(lease, "remaining_ms"));
    words += flag(lease, "wanted") ? "\n" : ", not wanted here\n";
  }
  return words;
}

}  // namespace nines::cluster
