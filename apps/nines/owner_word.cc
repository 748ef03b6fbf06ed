// The refusals come in the order in which an operator can mend them.
#include "owner_word.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace nines {

namespace {

using cluster::NodeId;
using cluster::NodeSet;

constexpr std::uint64_t kWallSecondsLeast = 1'735'689'600;  // 2025: before it a clock was not set

Error refused(std::string what) { return Error(ErrorCode::kInvalid, std::move(what)); }

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " and " : ", ";
    text += words[i];
  }
  return text;
}

std::string_view is_or_are(std::size_t count) { return count == 1 ? "is" : "are"; }

std::string seconds(Duration time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(milliseconds_of(time)) / 1000);
  return text;
}

}  // namespace

Result<GrantRequest> parse_grant_request(std::string_view words) {
  GrantRequest request;
  bool is_node = false;
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find(' '));
    words.remove_prefix(std::min(word.size() + 1, words.size()));
    if (word.empty()) continue;
    if (std::exchange(is_node, false)) {
      request.powered_off.emplace_back(word);
    } else if (word == kPoweredOffFlag) {
      is_node = true;
    } else if (word.starts_with('-')) {
      return refused("unknown option '" + std::string(word) +
                     "'; allowed: " + std::string(kPoweredOffFlag) + " NODE");
    } else {
      request.names.emplace_back(word);
    }
  }
  if (is_node || request.powered_off.empty()) {
    return refused("the nodes that are powered off are expected: " + std::string(kPoweredOffFlag) +
                   " NODE, once for each");
  }
  return request;
}

std::string text_of(const GrantRequest& request) {
  std::string text(kGrantRequest);
  for (const std::string& name : request.names) text += ' ' + name;
  for (const std::string& node : request.powered_off) {
    text += ' ' + std::string(kPoweredOffFlag) + ' ' + node;
  }
  return text;
}

Result<cluster::lease_event::Grant> OwnerWord::judge(const GrantRequest& request,
                                                     const WordView& view) const {
  for (const std::string& name : request.names) {
    if (std::find(view.instances.begin(), view.instances.end(), name) != view.instances.end()) {
      continue;
    }
    return refused("no instance '" + name + "'; there are " + joined(view.instances));
  }
  NodeSet off, others;
  for (const auto& node : cluster_.nodes) {
    if (node.id != cluster_.self) others.add(node.id);
  }
  for (const std::string& name : request.powered_off) {
    const auto found = std::find_if(cluster_.nodes.begin(), cluster_.nodes.end(),
                                    [&](const auto& node) { return node.name == name; });
    if (found == cluster_.nodes.end()) {
      return refused("no node '" + name + "'; the others are " + joined(names_of(others)));
    }
    if (found->id == cluster_.self) return refused(name + " is this node, and it is not off");
    off.add(found->id);
  }
  std::string alive;
  (off & heard(view)).for_each([&](NodeId node) {
    alive += (alive.empty() ? "" : "; ") + name_of(node) + ' ' + since(node, view);
  });
  if (!alive.empty()) return refused("not granted, for it is not off: " + alive);
  const NodeSet unnamed = silent(view) - off;
  if (!unnamed.empty()) {
    const auto names = names_of(unnamed);
    return refused("not granted: " + joined(names) + ' ' + std::string(is_or_are(names.size())) +
                   " not heard either, and may own; when powered off, to be named as well");
  }
  if (view.leases.learning) {
    return refused("not granted: this node lost its disk and knows nothing of leases yet");
  }
  if (view.leases.voting &&
      is_majority(heard(view) | NodeSet{cluster_.self}, view.leases.generation.voters)) {
    return refused("not needed: those who are heard make a majority with this node");
  }
  const std::uint64_t newer = cluster::Generation::number_by_word(view.wall_seconds, cluster_.self);
  if (view.wall_seconds < kWallSecondsLeast || newer <= view.leases.generation.number) {
    return refused("not granted: this host's clock is wrong (" + std::to_string(view.wall_seconds) +
                   " s since 1970), and words are ordered by it");
  }
  return cluster::lease_event::Grant{off, view.wall_seconds};
}

std::vector<std::string> OwnerWord::advice(const WordView& view) const {
  const cluster::LeaseStatus& leases = view.leases;
  std::vector<std::string> lines;
  if (leases.word_pending) {
    const auto awaited = names_of(leases.awaited);
    lines.push_back("the operator's word does not count yet: " +
                    (awaited.empty() ? "what was granted before has yet to run out"
                                     : joined(awaited) + " must hear of it, or be named as well"));
    if ((leases.awaited & silent(view)).empty()) return lines;
  } else if (leases.learning) {
    lines.push_back("this node lost its disk, and has yet to hear from a majority of the others");
    return lines;
  } else if (leases.cold) {
    if (leases.unheard.empty()) return lines;
    lines.push_back(
        "this host was off, and so were those it hears: " + joined(names_of(leases.unheard)) +
        " may have gone on alone, and is waited for");
  } else {
    const NodeSet reached = heard(view) | NodeSet{cluster_.self};
    if (is_majority(reached, leases.generation.voters)) return lines;
    lines.push_back("no majority: nobody may own until " +
                    joined(names_of(leases.generation.voters - reached)) + " can be heard");
  }
  const NodeSet missing = silent(view);
  if (missing.empty()) return lines;
  std::vector<std::string> ages;
  std::string command = "nines " + std::string(kGrantRequest);
  missing.for_each([&](NodeId node) {
    ages.push_back(name_of(node) + ' ' + since(node, view));
    command += ' ' + std::string(kPoweredOffFlag) + ' ' + name_of(node);
  });
  lines.push_back(joined(ages));
  lines.push_back("if powered off, and off until this is done: " + command);
  return lines;
}

std::string OwnerWord::name_of(NodeId node) const {
  const auto found = std::find_if(cluster_.nodes.begin(), cluster_.nodes.end(),
                                  [&](const auto& each) { return each.id == node; });
  return found == cluster_.nodes.end() ? "node " + std::to_string(node) : found->name;
}

std::vector<std::string> OwnerWord::names_of(NodeSet nodes) const {
  std::vector<std::string> names;
  nodes.for_each([&](NodeId node) { names.push_back(name_of(node)); });
  return names;
}

NodeSet OwnerWord::heard(const WordView& view) const {
  NodeSet nodes;
  for (const auto& [node, at] : view.last_heard) {
    if (at != Instant{} && view.now - at < kSilentLeast) nodes.add(node);
  }
  return nodes;
}

NodeSet OwnerWord::silent(const WordView& view) const {
  NodeSet nodes;
  for (const auto& [node, at] : view.last_heard) nodes.add(node);
  return nodes - heard(view);
}

std::string OwnerWord::since(NodeId node, const WordView& view) const {
  const Instant at = view.last_heard.at(node);
  if (at == Instant{}) return "was never heard";
  return "was heard " + seconds(view.now - at) + " ago";
}

}  // namespace nines
