// A line of virtual_routes or virtual_rules: what "ip route add" and "ip rule add" would be told,
// in keepalived's words.
#include <algorithm>
#include <array>
#include <limits>

#include "vrrp/config_draft.h"

namespace nines::vrrp {

namespace {

constexpr std::size_t kInterfaceNameMax = 15;  // IFNAMSIZ without its zero
constexpr std::uint32_t kNumberMax = std::numeric_limits<std::uint32_t>::max();

struct NamedNumber {
  std::string_view name;
  std::uint32_t number;
};
// As "ip" knows them without a file of names.
constexpr std::array<NamedNumber, 3> kTables{{{"default", 253}, {"main", 254}, {"local", 255}}};
constexpr std::array<NamedNumber, 5> kScopes{
    {{"global", 0}, {"site", 200}, {"link", 253}, {"host", 254}, {"nowhere", 255}}};
constexpr std::array<NamedNumber, 13> kProtocols{{{"redirect", 1},
                                                  {"kernel", 2},
                                                  {"boot", 3},
                                                  {"static", 4},
                                                  {"ra", 9},
                                                  {"zebra", 11},
                                                  {"bird", 12},
                                                  {"dhcp", 16},
                                                  {"keepalived", 18},
                                                  {"bgp", 186},
                                                  {"isis", 187},
                                                  {"ospf", 188},
                                                  {"rip", 189}}};
// Known to keepalived, and not offered.
constexpr std::array<std::string_view, 31> kRouteUnsupported{"append",
                                                             "add",
                                                             "anycast",
                                                             "broadcast",
                                                             "congctl",
                                                             "cwnd",
                                                             "encap",
                                                             "expires",
                                                             "fastopen_no_cookie",
                                                             "features",
                                                             "inet",
                                                             "inet6",
                                                             "initcwnd",
                                                             "initrwnd",
                                                             "local",
                                                             "lock",
                                                             "multicast",
                                                             "nat",
                                                             "nexthop",
                                                             "or",
                                                             "pref",
                                                             "quickack",
                                                             "realms",
                                                             "reordering",
                                                             "rto_min",
                                                             "rtt",
                                                             "rttvar",
                                                             "ssthresh",
                                                             "ttl-propagate",
                                                             "window",
                                                             "xresolve"};
constexpr std::array<std::string_view, 15> kRuleUnsupported{"dport",
                                                            "goto",
                                                            "inet",
                                                            "inet6",
                                                            "ip-proto",
                                                            "ipproto",
                                                            "l3mdev",
                                                            "nop",
                                                            "realms",
                                                            "sport",
                                                            "suppress_group",
                                                            "suppress_ifgroup",
                                                            "suppress_prefixlength",
                                                            "tun_id",
                                                            "uidrange"};

template <std::size_t kCount>
bool contains(const std::array<std::string_view, kCount>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// What both kinds of line are read with: the next word, or its value, with a complaint when it is
// not there.
class Line {
 public:
  Line(Reader& reader, const Statement& statement) : reader_(reader), words_(statement.words) {}

  // The next keyword; null at the end, or after a mistake that leaves the rest without meaning.
  const Word* next() {
    if (broken_ || at_ == words_.size()) return nullptr;
    return &words_[at_++];
  }
  const Word* value(const Word& keyword) {
    if (at_ < words_.size()) return &words_[at_++];
    reader_.error(keyword, "'" + keyword.text + "' wants a value");
    break_off();
    return nullptr;
  }
  void spoil() { good_ = false; }
  void break_off() { good_ = false, broken_ = true; }
  bool good() const { return good_; }

  std::optional<std::uint32_t> number(const Word& word, std::uint32_t low, std::uint32_t high,
                                      std::string_view names = {}) {
    const auto parsed = parse(word.text);
    if (parsed && *parsed >= low && *parsed <= high) return parsed;
    std::string allowed = std::to_string(low) + " to " + std::to_string(high);
    if (!names.empty()) allowed += ", " + std::string(names);
    reader_.error(word, parsed ? "this number is out of range" : "a number is wanted")
        .with_found(word.text)
        .with_allowed(allowed);
    spoil();
    return std::nullopt;
  }
  template <std::size_t kCount>
  std::optional<std::uint32_t> named(const Word& keyword,
                                     const std::array<NamedNumber, kCount>& names,
                                     std::uint32_t low, std::uint32_t high) {
    const Word* const word = value(keyword);
    if (word == nullptr) return std::nullopt;
    std::string list;
    for (const NamedNumber& each : names) {
      if (each.name == word->text) return each.number;
      list += (list.empty() ? "" : ", ") + std::string(each.name);
    }
    return number(*word, low, high, list);
  }
  template <typename Number>
  void read(const Word& keyword, std::optional<Number>& out, std::uint32_t low,
            std::uint32_t high) {
    const Word* const word = value(keyword);
    if (word == nullptr) return;
    if (const auto parsed = number(*word, low, high)) out = static_cast<Number>(*parsed);
  }
  void read(const Word& keyword, std::optional<SocketAddress>& out) {
    const Word* const word = value(keyword);
    if (word == nullptr) return;
    if (auto address = reader_.address(*word)) {
      out = *address;
    } else {
      spoil();
    }
  }
  void read_interface(const Word& keyword, std::string& out) {
    const Word* const word = value(keyword);
    if (word == nullptr) return;
    if (word->text.empty() || word->text.size() > kInterfaceNameMax) {
      reader_.error(*word, "no interface has such a name").with_found(word->text);
      return spoil();
    }
    out = word->text;
  }

 private:
  // Decimal, or hexadecimal as keepalived takes it too.
  static std::optional<std::uint32_t> parse(std::string_view text) {
    const bool hexadecimal = text.starts_with("0x");
    if (hexadecimal) text.remove_prefix(2);
    std::uint64_t number = 0;
    if (text.empty()) return std::nullopt;
    for (const char c : text) {
      const auto digit = static_cast<unsigned>(c >= '0' && c <= '9'   ? c - '0'
                                               : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                                      : 16);
      if (digit >= (hexadecimal ? 16u : 10u)) return std::nullopt;
      number = number * (hexadecimal ? 16 : 10) + digit;
      if (number > kNumberMax) return std::nullopt;
    }
    return static_cast<std::uint32_t>(number);
  }

  Reader& reader_;
  const std::vector<Word>& words_;
  std::size_t at_ = 0;
  bool good_ = true;
  bool broken_ = false;
};

// The kernel refuses a destination with bits behind its length.
bool has_host_bits(const SocketAddress& address, int length) {
  const std::string_view bytes = address.ip_bytes();
  for (std::size_t bit = static_cast<std::size_t>(length); bit < bytes.size() * 8; ++bit) {
    if ((static_cast<unsigned char>(bytes[bit / 8]) >> (7 - bit % 8) & 1) != 0) return true;
  }
  return false;
}

template <typename Enum, std::size_t kCount>
std::optional<Enum> kind_of(std::string_view name, const std::array<Enum, kCount>& all) {
  for (const Enum each : all) {
    if (name_of(each) == name) return each;
  }
  return std::nullopt;
}

class RouteLine {
 public:
  RouteLine(Reader& reader, const Statement& statement)
      : reader_(reader), statement_(statement), line_(reader, statement) {}

  std::optional<VirtualRoute> run() {
    route_.place = reader_.place(statement_.keyword());
    if (statement_.has_block) {
      reader_.error(statement_.keyword(), "a route takes no block");
      return std::nullopt;
    }
    while (const Word* const word = line_.next()) read_word(*word);
    if (!line_.good()) return std::nullopt;
    check();
    if (!line_.good()) return std::nullopt;
    return std::move(route_);
  }

 private:
  void read_word(const Word& word) {
    const std::string& name = word.text;
    if (name == "via" || name == "gw") {
      if (name == "gw") reader_.complaint(word, "keepalived wants 'via' in the place of 'gw'");
      line_.read(word, route_.gateway);
    } else if (name == "dev" || name == "oif") {
      line_.read_interface(word, route_.device);
    } else if (name == "src") {
      line_.read(word, route_.source);
    } else if (name == "table") {
      if (const auto table = line_.named(word, kTables, 1, kNumberMax)) route_.table = *table;
    } else if (name == "scope") {
      if (const auto scope = line_.named(word, kScopes, 0, 255)) {
        route_.scope = static_cast<std::uint8_t>(*scope);
      }
    } else if (name == "protocol") {
      if (const auto protocol = line_.named(word, kProtocols, 1, 255)) {
        route_.protocol = static_cast<std::uint8_t>(*protocol);
        protocol_ = &word;
      }
    } else if (name == "metric" || name == "priority" || name == "preference") {
      line_.read(word, route_.metric, 0, kNumberMax);
    } else if (name == "tos" || name == "dsfield") {
      line_.read(word, route_.type_of_service, 0, 255);
    } else if (name == "mtu") {
      line_.read(word, route_.mtu, 1, kNumberMax);
    } else if (name == "advmss") {
      line_.read(word, route_.advertised_mss, 1, kNumberMax);
    } else if (name == "hoplimit") {
      line_.read(word, route_.hop_limit, 1, 255);
    } else if (name == "onlink") {
      route_.onlink = true;
    } else if (name == "no_track") {
      route_.no_track = true;
    } else if (const auto type = kind_of(name, kTypes)) {
      route_.type = *type;
    } else if (contains(kRouteUnsupported, name)) {
      reader_.error(word, "'" + name + "' is not supported for a virtual route");
      line_.break_off();
    } else if (name == "to") {
      if (const Word* const destination = line_.value(word)) read_destination(*destination);
    } else if (destination_ == nullptr) {
      read_destination(word);
    } else {
      reader_.error(word, "a route knows no such word")
          .with_found(name)
          .with_allowed(
              "to, via, dev, src, table, scope, protocol, metric, tos, mtu, advmss, hoplimit, "
              "onlink, no_track")
          .with_help("each route stands in a line of its own");
      line_.break_off();
    }
  }

  void read_destination(const Word& word) {
    destination_ = &word;
    if (word.text == "default") {
      route_.destination = SocketAddress::ipv4({}, 0);
    } else if (word.text == "default6") {
      route_.destination = SocketAddress::ipv6({}, 0);
    } else if (!read_prefix(reader_, word, route_.destination, route_.prefix_length)) {
      line_.break_off();
    } else if (has_host_bits(route_.destination, route_.prefix_length)) {
      reader_.error(word, "this is no network: it has bits behind its prefix length")
          .with_found(word.text);
      line_.spoil();
    }
  }

  // What must fit together once all is known.
  void check() {
    if (destination_ == nullptr) {
      reader_.error(statement_.keyword(), "a route has a destination")
          .with_help("ADDRESS/LENGTH, default or default6");
      return line_.spoil();
    }
    for (const auto* const address : {&route_.gateway, &route_.source}) {
      if (!*address || (*address)->family() == route_.destination.family()) continue;
      reader_.error(*destination_, "a route's addresses are of one family");
      return line_.spoil();
    }
    const bool has_way = route_.gateway || !route_.device.empty();
    if (route_.type != RouteType::kUnicast && has_way) {
      reader_.error(*destination_, "a route that leads nowhere takes neither 'via' nor 'dev'");
      return line_.spoil();
    }
    if (route_.type == RouteType::kUnicast && !has_way) {
      reader_.error(*destination_, "a route wants 'via' or 'dev'")
          .with_help("ADDRESS/LENGTH via GATEWAY dev INTERFACE");
      return line_.spoil();
    }
    if (route_.no_track) return;
    if (route_.device.empty()) {
      reader_
          .complaint(*destination_,
                     "keepalived does not look after a route without 'dev'; it is "
                     "put back here when it is taken away")
          .with_help("name the interface with 'dev', or say 'no_track'");
    }
    if (route_.protocol && *route_.protocol != kRoutingProtocol) {
      route_.protocol = kRoutingProtocol;
      reader_.complaint(*protocol_, "a route that is looked after has the protocol 'keepalived'")
          .with_help("with 'no_track' another protocol is taken");
    }
  }

  static constexpr std::array kTypes{RouteType::kUnicast, RouteType::kBlackhole,
                                     RouteType::kUnreachable, RouteType::kProhibit,
                                     RouteType::kThrow};

  Reader& reader_;
  const Statement& statement_;
  Line line_;
  VirtualRoute route_;
  const Word* destination_ = nullptr;
  const Word* protocol_ = nullptr;
};

class RuleLine {
 public:
  RuleLine(Reader& reader, const Statement& statement)
      : reader_(reader), statement_(statement), line_(reader, statement) {}

  std::optional<RuleDraft> run() {
    rule_.place = reader_.place(statement_.keyword());
    if (statement_.has_block) {
      reader_.error(statement_.keyword(), "a rule takes no block");
      return std::nullopt;
    }
    while (const Word* const word = line_.next()) read_word(*word);
    if (!line_.good()) return std::nullopt;
    check();
    if (!line_.good()) return std::nullopt;
    return RuleDraft{std::move(rule_), statement_.keyword(), priority_.has_value()};
  }

 private:
  void read_word(const Word& word) {
    const std::string& name = word.text;
    if (name == "from") {
      read_end(word, rule_.from);
    } else if (name == "to") {
      read_end(word, rule_.to);
    } else if (name == "table" || name == "lookup") {
      if (const auto table = line_.named(word, kTables, 1, kNumberMax)) rule_.table = *table;
      act(word, RuleAction::kTable);
    } else if (name == "priority" || name == "preference" || name == "order") {
      line_.read(word, priority_, 0, kNumberMax);
    } else if (name == "iif" || name == "dev") {
      line_.read_interface(word, rule_.from_interface);
    } else if (name == "oif") {
      line_.read_interface(word, rule_.to_interface);
    } else if (name == "fwmark") {
      read_mark(word);
    } else if (name == "tos" || name == "dsfield") {
      std::optional<std::uint8_t> type;
      line_.read(word, type, 0, 255);
      rule_.type_of_service = type.value_or(0);
    } else if (name == "not") {
      rule_.inverted = true;
    } else if (name == "no_track") {
      rule_.no_track = true;
    } else if (const auto action = kind_of(name, kActions)) {
      act(word, *action);
    } else if (contains(kRuleUnsupported, name)) {
      reader_.error(word, "'" + name + "' is not supported for a virtual rule");
      line_.break_off();
    } else {
      reader_.error(word, "a rule knows no such word")
          .with_found(name)
          .with_allowed(
              "from, to, table, priority, iif, oif, fwmark, tos, not, blackhole, unreachable, "
              "prohibit, no_track")
          .with_help("each rule stands in a line of its own");
      line_.break_off();
    }
  }

  void read_end(const Word& keyword, std::optional<VirtualRule::Prefix>& out) {
    const Word* const word = line_.value(keyword);
    if (word == nullptr) return;
    VirtualRule::Prefix prefix;
    if (word->text == "all" || word->text == "any") {
      prefix.address = SocketAddress::ipv4({}, 0);
    } else if (!read_prefix(reader_, *word, prefix.address, prefix.length)) {
      return line_.break_off();
    }
    out = prefix;
  }

  // "MARK[/MASK]".
  void read_mark(const Word& keyword) {
    const Word* const word = line_.value(keyword);
    if (word == nullptr) return;
    const std::size_t slash = word->text.find('/');
    Word part = *word;
    part.text = word->text.substr(0, slash);
    rule_.mark = line_.number(part, 0, kNumberMax);
    if (slash == std::string::npos) return;
    part.text = word->text.substr(slash + 1);
    rule_.mark_mask = line_.number(part, 0, kNumberMax);
  }

  void act(const Word& word, RuleAction action) {
    if (acts_) {
      reader_.error(word, "a rule does one thing").with_found(word.text);
      line_.spoil();
    }
    acts_ = true;
    rule_.action = action;
  }

  void check() {
    if (!acts_) {
      reader_.error(statement_.keyword(), "this rule does nothing").with_help("add 'table N'");
      return line_.spoil();
    }
    std::optional<SocketAddress::Family> family;
    for (auto* const end : {&rule_.from, &rule_.to}) {
      if (!*end || (*end)->length == 0) continue;
      if (family && *family != (*end)->address.family()) {
        reader_.error(statement_.keyword(), "a rule's addresses are of one family");
        return line_.spoil();
      }
      family = (*end)->address.family();
    }
    rule_.family = family.value_or(SocketAddress::Family::kIpv4);
    rule_.priority = priority_.value_or(0);
  }

  static constexpr std::array kActions{RuleAction::kBlackhole, RuleAction::kUnreachable,
                                       RuleAction::kProhibit};

  Reader& reader_;
  const Statement& statement_;
  Line line_;
  VirtualRule rule_;
  std::optional<std::uint32_t> priority_;
  bool acts_ = false;
};

}  // namespace

std::optional<VirtualRoute> read_virtual_route(Reader& reader, const Statement& statement) {
  return RouteLine(reader, statement).run();
}

std::optional<RuleDraft> read_virtual_rule(Reader& reader, const Statement& statement) {
  return RuleLine(reader, statement).run();
}

}  // namespace nines::vrrp
