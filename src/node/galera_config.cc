// One method for each key of the section.
#include "node/galera_config.h"

#include <algorithm>
#include <array>
#include <functional>

#include "node/yaml_reader.h"
#include "text/suggest.h"
#include "text/units.h"

namespace nines::node {

namespace {

constexpr std::size_t kNameMax = 64;

using Key = YamlReader::Key;

class GaleraReader {
 public:
  GaleraReader(YamlReader& yaml, std::string_view host_name) : yaml_(yaml), host_name_(host_name) {}

  GaleraConfig read(fy_node* section) {
    fy_node* self = nullptr;
    fy_node* recovery = nullptr;
    bool has_members = false, has_credentials = false;
    const std::array<Key, 12> keys = {{
        {"members",
         [&](fy_node* value) {
           has_members = true;
           read_members(value);
         }},
        {"arbitrators", [this](fy_node* value) { read_arbitrators(value); }},
        {"self", [&](fy_node* value) { self = value; }},
        {"socket", [this](fy_node* value) { config_.socket = yaml_.path_of(value); }},
        {"credentials",
         [&](fy_node* value) {
           has_credentials = true;
           config_.credentials = yaml_.path_of(value);
         }},
        {"data", [this](fy_node* value) { config_.data = yaml_.path_of(value); }},
        {"state", [this](fy_node* value) { config_.state = yaml_.path_of(value); }},
        {"server", [this](fy_node* value) { read_server(value); }},
        {"reach", [this](fy_node* value) { read_reach(value); }},
        {"recovery",
         [&](fy_node* value) {
           recovery = value;
           read_recovery(value);
         }},
        {"metrics", [this](fy_node* value) { config_.metrics = yaml_.path_of(value); }},
        {"pools", [this](fy_node* value) { read_pools(value); }},
    }};
    yaml_.read_mapping(section, "'galera'", keys);
    if (section == nullptr || !fy_node_is_mapping(section)) return std::move(config_);
    if (!has_members) {
      yaml_.error(YamlReader::span_of(section), "the Galera cluster has no members")
          .with_allowed("members: a mapping of names to the addresses of their servers");
    }
    if (!has_credentials) {
      yaml_.error(YamlReader::span_of(section), "nobody is named to ask the servers as")
          .with_allowed("credentials: the path of a file with 'user = ...' and 'password = ...'");
    }
    find_self(self);
    check_recovery(recovery);
    return std::move(config_);
  }

 private:
  void read_members(fy_node* value) {
    constexpr std::string_view kAllowed = "1 to 15 names, each with its server's address";
    if (value == nullptr || !fy_node_is_mapping(value)) {
      yaml_.error(YamlReader::span_of(value), "'members' is a mapping of names to addresses")
          .with_allowed(kAllowed);
      return;
    }
    void* position = nullptr;
    while (fy_node_pair* const pair = fy_node_mapping_iterate(value, &position)) {
      fy_node* const name = fy_node_pair_key(pair);
      const std::string_view word = YamlReader::word_of(name);
      if (!is_galera_member_name(word)) {
        yaml_.error(YamlReader::span_of(name), "no name for a member")
            .with_found(word)
            .with_allowed("1 to 64 letters, digits, '-', '_' and '.', a letter or digit first");
      }
      if (config_.members.size() == kGaleraMembersMax) {
        yaml_.error(YamlReader::span_of(name), "too many members").with_allowed(kAllowed);
        return;
      }
      const SocketAddress address = address_of(fy_node_pair_value(pair));
      refuse_repeated(address, fy_node_pair_value(pair));
      config_.members.push_back({std::string(word), address});
    }
    if (config_.members.empty()) {
      yaml_.error(YamlReader::span_of(value), "'members' is empty").with_allowed(kAllowed);
    }
  }

  void read_arbitrators(fy_node* value) {
    constexpr std::string_view kAllowed = "a list of at most 4 addresses";
    if (value == nullptr || !fy_node_is_sequence(value)) {
      yaml_.error(YamlReader::span_of(value), "'arbitrators' is a list").with_allowed(kAllowed);
      return;
    }
    void* position = nullptr;
    while (fy_node* const each = fy_node_sequence_iterate(value, &position)) {
      if (config_.arbitrators.size() == kGaleraArbitratorsMax) {
        yaml_.error(YamlReader::span_of(each), "too many arbitrators").with_allowed(kAllowed);
        return;
      }
      config_.arbitrators.push_back(address_of(each));
    }
  }

  SocketAddress address_of(fy_node* value) {
    const std::string_view word = YamlReader::word_of(value);
    auto address = SocketAddress::parse_ip(word, kGaleraPortDefault);
    if (!address) address = SocketAddress::parse(word);
    if (!address || !address->is_ip() || address->port() == 0 || address->is_wildcard()) {
      yaml_.error(YamlReader::span_of(value), "no address of a member")
          .with_found(word)
          .with_allowed("an IP address, and a port unless it is 3306: 192.0.2.1, 192.0.2.1:3307");
      return {};
    }
    return *address;
  }

  void refuse_repeated(const SocketAddress& address, fy_node* value) {
    if (!address.is_ip()) return;
    for (const GaleraMember& other : config_.members) {
      if (other.address != address) continue;
      yaml_
          .error(YamlReader::span_of(value), "member '" + other.name + "' has this address already")
          .with_found(address.text());
    }
  }

  void read_server(fy_node* value) {
    GaleraServer& server = config_.server;
    bool has_recover = false;
    int ways = 0;
    const std::array<Key, 4> keys = {{
        {"unit",
         [&](fy_node* each) {
           ++ways;
           server.unit = unit_of(each);
         }},
        {"process",
         [&](fy_node* each) {
           ++ways;
           server.process = command_of(each);
         }},
        {"command",
         [&](fy_node* each) {
           ++ways;
           read_commands(each);
         }},
        {"recover",
         [&](fy_node* each) {
           has_recover = true;
           config_.recover = command_of(each);
         }},
    }};
    yaml_.read_mapping(value, "'server'", keys);
    if (ways > 1) {
      yaml_.error(YamlReader::span_of(value), "more than one way to start the server")
          .with_allowed("one of unit, process and command");
    }
    if (!has_recover && !server.process.empty()) config_.recover = server.process;
  }

  std::string unit_of(fy_node* value) {
    const std::string_view word = YamlReader::word_of(value);
    if (word.empty() || word.front() == '-') {
      yaml_.error(YamlReader::span_of(value), "no unit of systemd")
          .with_found(word)
          .with_allowed("a name, as in mariadb.service");
    }
    return std::string(word);
  }

  void read_commands(fy_node* value) {
    GaleraServer& server = config_.server;
    const std::array<Key, 3> keys = {{
        {"start", [&](fy_node* each) { server.start = command_of(each); }},
        {"bootstrap", [&](fy_node* each) { server.bootstrap = command_of(each); }},
        {"stop", [&](fy_node* each) { server.stop = command_of(each); }},
    }};
    yaml_.read_mapping(value, "'command'", keys);
    if (server.start.empty() || server.bootstrap.empty() || server.stop.empty()) {
      yaml_.error(YamlReader::span_of(value), "a server needs all three commands")
          .with_allowed("start, bootstrap and stop, each a list of words");
    }
  }

  void read_reach(fy_node* value) {
    config_.reach = command_of(value);
    const auto names_member = [](const std::string& word) {
      return word.find(kGaleraReachMember) != word.npos;
    };
    if (config_.reach.empty() ||
        std::any_of(config_.reach.begin(), config_.reach.end(), names_member)) {
      return;
    }
    yaml_.error(YamlReader::span_of(value), "no word of 'reach' says which member is meant")
        .with_allowed("{member} in one of its words: [ssh, 'root@{member}', nines]");
  }

  void read_recovery(fy_node* value) {
    const std::string_view word = YamlReader::word_of(value);
    config_.recovers_by_itself = word == "automatic";
    if (word == "automatic" || word == "by-hand") return;
    yaml_.error(YamlReader::span_of(value), "no way of a recovery")
        .with_found(word)
        .with_allowed("automatic, by-hand");
  }

  // One that cannot do it must not be counted on.
  void check_recovery(fy_node* value) {
    if (!config_.recovers_by_itself) return;
    if (!config_.server.is_said()) {
      yaml_
          .error(YamlReader::span_of(value),
                 "nobody says how servers are started, which a recovery does")
          .with_allowed("server: {unit: mariadb.service}, for one");
    }
    if (config_.reach.empty() && config_.members.size() > 1) {
      yaml_
          .error(YamlReader::span_of(value),
                 "nobody says how the other members' hosts are reached, which a recovery asks")
          .with_allowed("reach: [ssh, -oBatchMode=yes, 'root@{member}', nines], for one");
    }
  }

  void read_pools(fy_node* value) {
    constexpr std::string_view kAllowed =
        "1 to 64 services, each with its processes: {keystone: {processes: 24}}";
    if (value == nullptr || !fy_node_is_mapping(value)) {
      yaml_.error(YamlReader::span_of(value), "'pools' is a mapping of services to their pools")
          .with_allowed(kAllowed);
      return;
    }
    void* position = nullptr;
    while (fy_node_pair* const pair = fy_node_mapping_iterate(value, &position)) {
      fy_node* const name = fy_node_pair_key(pair);
      const std::string_view word = YamlReader::word_of(name);
      if (!is_galera_member_name(word) || config_.pools.size() == kGaleraPoolsMax) {
        yaml_.error(YamlReader::span_of(name), "no name of a service, or one too many")
            .with_found(word)
            .with_allowed(kAllowed);
        return;
      }
      GaleraPool pool;
      pool.name = word;
      fy_node* const each = fy_node_pair_value(pair);
      const std::array<Key, 3> keys = {{
          {"processes", [&](fy_node* number) { pool.processes = pool_number(number, 1); }},
          {"size", [&](fy_node* number) { pool.size = pool_number(number, 0); }},
          {"overflow", [&](fy_node* number) { pool.overflow = pool_number(number, 0); }},
      }};
      yaml_.read_mapping(each, "a pool", keys);
      if (each != nullptr && fy_node_is_mapping(each) &&
          fy_node_mapping_lookup_by_string(each, "processes", FY_NT) == nullptr) {
        yaml_.error(YamlReader::span_of(name), "nobody says how many processes have such a pool")
            .with_allowed("processes: a number, of all hosts together");
      }
      config_.pools.push_back(std::move(pool));
    }
  }

  std::int64_t pool_number(fy_node* value, std::int64_t least) {
    const std::string_view word = YamlReader::word_of(value);
    const auto number = text::parse_integer(word);
    if (number && *number >= least && *number <= kGaleraPoolNumberMax) return *number;
    yaml_.error(YamlReader::span_of(value), "no number of a pool")
        .with_found(word)
        .with_allowed(std::to_string(least) + " to " + std::to_string(kGaleraPoolNumberMax));
    return least;
  }

  std::vector<std::string> command_of(fy_node* value) {
    constexpr std::string_view kAllowed = "a list of words: [mariadbd, --user=mysql]";
    std::vector<std::string> words;
    if (value == nullptr || !fy_node_is_sequence(value)) {
      yaml_.error(YamlReader::span_of(value), "a command is a list").with_allowed(kAllowed);
      return words;
    }
    void* position = nullptr;
    while (fy_node* const each = fy_node_sequence_iterate(value, &position)) {
      const std::string_view word = YamlReader::word_of(each);
      if (word.empty() || words.size() == kGaleraCommandWordsMax) {
        yaml_.error(YamlReader::span_of(each), "no word of a command")
            .with_found(word)
            .with_allowed("1 to 64 words, none empty");
        return words;
      }
      words.emplace_back(word);
    }
    if (words.empty()) {
      yaml_.error(YamlReader::span_of(value), "an empty command").with_allowed(kAllowed);
    }
    return words;
  }

  // A host that holds no member may still ask after them.
  void find_self(fy_node* value) {
    const bool is_told = value != nullptr;
    const std::string_view word = is_told ? YamlReader::word_of(value) : host_name_;
    const std::string_view first_part = word.substr(0, word.find('.'));
    std::vector<std::string_view> names;
    std::string allowed;
    for (const GaleraMember& member : config_.members) {
      names.push_back(member.name);
      allowed += (allowed.empty() ? "" : ", ") + member.name;
    }
    for (const std::string_view wanted : {word, is_told ? word : first_part}) {
      if (config_.self.empty() && std::find(names.begin(), names.end(), wanted) != names.end()) {
        config_.self = wanted;
      }
    }
    if (!is_told || !config_.self.empty()) return;
    text::Diagnostic& unknown =
        yaml_.error(YamlReader::span_of(value), "'self' is none of the members");
    unknown.with_found(word).with_allowed(allowed);
    if (const auto near = text::suggest(word, names)) {
      unknown.with_help("did you mean '" + std::string(*near) + "'?");
    }
  }

  YamlReader& yaml_;
  const std::string_view host_name_;
  GaleraConfig config_;
};

}  // namespace

bool is_galera_member_name(std::string_view name) {
  const auto is_plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && name.size() <= kNameMax && is_plain(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_plain(c) || c == '-' || c == '.'; });
}

GaleraConfig read_galera_config(YamlReader& reader, fy_node* section, std::string_view host_name) {
  return GaleraReader(reader, host_name).read(section);
}

}  // namespace nines::node
