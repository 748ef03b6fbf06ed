// A line of virtual_ipaddress: an address, and what "ip address add" would be told.
#include <algorithm>
#include <array>

#include "text/units.h"
#include "vrrp/config_draft.h"

namespace nines::vrrp {

namespace {

constexpr std::size_t kInterfaceNameMax = 15;  // IFNAMSIZ without its zero; labels likewise

std::optional<AddressScope> scope_of(std::string_view name) {
  for (const AddressScope scope :
       {AddressScope::kGlobal, AddressScope::kSite, AddressScope::kLink, AddressScope::kHost}) {
    if (name == name_of(scope)) return scope;
  }
  // rt_scopes' numbers, as "ip" takes them too.
  const auto number = text::parse_integer(name);
  if (number) {
    for (const AddressScope scope :
         {AddressScope::kGlobal, AddressScope::kSite, AddressScope::kLink, AddressScope::kHost}) {
      if (*number == static_cast<int>(scope)) return scope;
    }
  }
  return std::nullopt;
}

}  // namespace

bool read_prefix(Reader& reader, const Word& word, SocketAddress& address, int& length) {
  const std::size_t slash = word.text.find('/');
  const auto parsed = SocketAddress::parse_ip(word.text.substr(0, slash), 0);
  if (!parsed || word.text.starts_with('[')) {
    reader.error(word, "this is no IP address").with_found(word.text);
    return false;
  }
  address = *parsed;
  const int longest = address.family() == SocketAddress::Family::kIpv6 ? 128 : 32;
  length = longest;
  if (slash == std::string::npos) return true;
  const auto number = text::parse_integer(word.text.substr(slash + 1));
  if (!number || *number < 0 || *number > longest) {
    reader.error(word, "this prefix length does not fit the address")
        .with_found(word.text.substr(slash + 1))
        .with_allowed("0 to " + std::to_string(longest));
    return false;
  }
  length = static_cast<int>(*number);
  return true;
}

std::optional<VirtualAddress> read_virtual_address(Reader& reader, const Statement& statement) {
  VirtualAddress out;
  out.place = reader.place(statement.keyword());
  if (statement.has_block) {
    reader.error(statement.keyword(), "an address takes no block");
    return std::nullopt;
  }
  if (!read_prefix(reader, statement.keyword(), out.address, out.prefix_length)) {
    return std::nullopt;
  }
  const auto& words = statement.words;
  const bool ipv6 = out.address.family() == SocketAddress::Family::kIpv6;
  constexpr int kAlone = 128;
  bool deprecated = out.prefix_length == kAlone;
  bool good = true;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const Word& word = words[i];
    const auto value = [&]() -> const Word* {
      if (i + 1 < words.size()) return &words[++i];
      reader.error(word, "'" + word.text + "' wants a value");
      good = false;
      return nullptr;
    };
    if (word.text == "dev") {
      const Word* const name = value();
      if (name == nullptr) break;
      if (name->text.empty() || name->text.size() > kInterfaceNameMax) {
        reader.error(*name, "no interface has such a name").with_found(name->text);
        good = false;
      }
      out.device = name->text;
    } else if (word.text == "label") {
      const Word* const label = value();
      if (label == nullptr) break;
      if (label->text.size() > kInterfaceNameMax) {
        reader.error(*label, "a label has at most 15 characters").with_found(label->text);
        good = false;
      }
      if (ipv6) {
        reader.warning(*label, "IPv6 addresses have no label");
      } else {
        out.label = label->text;
      }
    } else if (word.text == "scope") {
      const Word* const name = value();
      if (name == nullptr) break;
      const auto scope = scope_of(name->text);
      if (!scope) {
        reader.error(*name, "no such scope")
            .with_found(name->text)
            .with_allowed("global, site, link, host");
        good = false;
      } else {
        if (ipv6) reader.complaint(*name, "an IPv6 address has the scope of its kind");
        out.scope = *scope;
      }
    } else if (word.text == "brd" || word.text == "broadcast") {
      const Word* const broadcast = value();
      if (broadcast == nullptr) break;
      if (ipv6) {
        reader.error(word, "IPv6 has no broadcast address");
        good = false;
      } else if (broadcast->text == "+") {
        out.broadcast_computed = true;
      } else if (broadcast->text == "-") {
        reader.error(*broadcast, "'brd -' is not supported").with_help("name the address");
        good = false;
      } else if (const auto address = reader.address(*broadcast);
                 address && address->family() == out.address.family()) {
        out.broadcast = *address;
      } else {
        if (address) reader.error(*broadcast, "an IPv4 address is wanted here");
        good = false;
      }
    } else if (word.text == "peer") {
      reader.error(word, "an address with a peer is not supported");
      good = false;
      break;
    } else if (word.text == "no_track") {
      out.no_track = true;
    } else if (word.text == "-nodad" || word.text == "nodad") {
      out.nodad = true;
    } else if (word.text == "home") {
      out.home = true;
    } else if (word.text == "noprefixroute") {
      out.noprefixroute = true;
    } else if (word.text == "preferred_lft") {
      const Word* const time = value();
      if (time == nullptr) break;
      if (time->text != "0" && time->text != "forever") {
        reader.error(*time, "an address is preferred from the start or never")
            .with_found(time->text)
            .with_allowed("0, forever");
        good = false;
      }
      if (!ipv6) reader.warning(word, "this is for IPv6; an IPv4 address is always preferred");
      deprecated = time->text == "0";
    } else if (word.text == "track_group") {
      reader.error(word, "'" + word.text + "' is not supported for a virtual address");
      good = false;
      break;
    } else if (word.text == "use_vmac" || word.text == "mngtmpaddr" || word.text == "autojoin") {
      reader.error(word, "'" + word.text + "' is not supported");
      good = false;
    } else {
      reader.error(word, "an address knows no such word")
          .with_found(word.text)
          .with_allowed(
              "dev, label, scope, brd, no_track, home, -nodad, noprefixroute, preferred_lft")
          .with_help("each address stands in a line of its own");
      good = false;
      break;
    }
  }
  if (!good) return std::nullopt;
  out.deprecated = ipv6 && deprecated;
  return out;
}

}  // namespace nines::vrrp
