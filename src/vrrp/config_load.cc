// From text to configuration: lines, a tree, statements, the whole.
#include "vrrp/config_load.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "vrrp/config_keywords.h"
#include "vrrp/config_lines.h"
#include "vrrp/config_secrets.h"
#include "vrrp/config_tree.h"

namespace nines::vrrp {

namespace {

template <typename Target>
bool contains(std::span<const Keyword<Target>> keywords, std::string_view name) {
  return std::any_of(keywords.begin(), keywords.end(),
                     [&](const Keyword<Target>& keyword) { return keyword.name == name; });
}

// Words within blocks that are no keywords of the block itself.
constexpr std::string_view kInnerWords[] = {
    "brd",       "broadcast", "dev",       "home",     "include",   "includea",
    "includeb",  "includem",  "includer",  "includew", "label",     "nodad",
    "no_track",  "peer",      "reverse",   "scope",    "via",       "src",
    "noreverse", "min_ttl",   "max_ttl",   "to",       "from",      "table",
    "gw",        "or",        "blackhole", "metric",   "preference"};

}  // namespace

std::string home_of(std::string_view keyword) {
  const auto inside = [](std::string_view block) {
    return "it belongs into " + std::string(block) + " { ... }";
  };
  if (contains(authentication_keywords(), keyword)) return inside("authentication");
  if (contains(instance_keywords(), keyword)) return inside("vrrp_instance NAME");
  if (contains(script_keywords(), keyword)) return inside("vrrp_script NAME");
  if (contains(global_keywords(), keyword)) return inside("global_defs");
  if (contains(sync_group_keywords(), keyword)) return inside("vrrp_sync_group NAME");
  if (contains(top_keywords(), keyword)) {
    return "it stands outside of blocks; is a '}' missing above?";
  }
  return {};
}

bool is_known_keyword(std::string_view name) {
  const auto skipped = keywords_of_skipped_blocks();
  return contains(top_keywords(), name) || contains(global_keywords(), name) ||
         contains(script_keywords(), name) || contains(instance_keywords(), name) ||
         contains(authentication_keywords(), name) || contains(sync_group_keywords(), name) ||
         std::find(skipped.begin(), skipped.end(), name) != skipped.end() ||
         std::find(std::begin(kInnerWords), std::end(kInnerWords), name) != std::end(kInnerWords);
}

LoadedConfig load_config(text::SourceFile file, const Environment& environment) {
  LoadedConfig loaded;
  loaded.files.push_back(std::move(file));
  const auto lines = expand_lines(loaded.files, environment, loaded.diagnostics);
  const auto tree = parse_tree(lines, loaded.files, loaded.diagnostics);
  Reader reader(loaded.files, loaded.diagnostics);
  ConfigDraft draft;
  for (const Statement& statement : tree) {
    read_statement(reader, draft, statement, top_keywords(), "keepalived.conf");
  }
  loaded.config = finish(reader, draft);
  loaded.keepalived_complains = reader.complained();
  hide_secrets(tree, loaded.files, loaded.diagnostics);
  loaded.diagnostics.sort();
  return loaded;
}

bool looks_like_keepalived(std::string_view text) {
  static constexpr std::array<std::string_view, 12> kFirst{
      "global_defs",    "vrrp_instance",        "vrrp_script",   "vrrp_sync_group",
      "virtual_server", "virtual_server_group", "bfd_instance",  "vrrp_track_process",
      "track_file",     "vrrp_track_file",      "static_routes", "static_ipaddress"};
  while (!text.empty()) {
    const std::size_t feed = text.find('\n');
    std::string_view line = text.substr(0, feed);
    text.remove_prefix(feed == std::string_view::npos ? text.size() : feed + 1);
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) continue;
    line.remove_prefix(first);
    if (line[0] == '#' || line[0] == '!') continue;
    // Only keepalived defines "$NAME=VALUE"; what it includes or defines first says nothing else.
    if (line[0] == '$') return true;
    const std::string_view word = line.substr(0, line.find_first_of(" \t\r{"));
    return std::find(kFirst.begin(), kFirst.end(), word) != kFirst.end();
  }
  return false;
}

}  // namespace nines::vrrp
