// The kind, then the addresses, with blanks between.
#include "node/host_share.h"

#include <algorithm>
#include <array>

namespace nines::node {
namespace {

constexpr std::array kKinds = {HostShare::Kind::kAll, HostShare::Kind::kNone,
                               HostShare::Kind::kGone, HostShare::Kind::kSlowly};

std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

}  // namespace

std::string_view name_of(HostShare::Kind kind) {
  switch (kind) {
    case HostShare::Kind::kAll:
      return "all";
    case HostShare::Kind::kNone:
      return "none";
    case HostShare::Kind::kGone:
      return "gone";
    case HostShare::Kind::kSlowly:
      return "slowly";
  }
  return "all";
}

std::string encode(const HostShare& share) {
  std::string text(name_of(share.kind));
  for (const SocketAddress& address : share.addresses) text += ' ' + address.ip_text();
  return text;
}

Result<HostShare> parse_host_share(std::string_view text) {
  HostShare share;
  const std::string_view word = take_word(text);
  bool known = false;
  for (const HostShare::Kind kind : kKinds) {
    if (name_of(kind) != word) continue;
    share.kind = kind;
    known = true;
  }
  if (!known) return Error(ErrorCode::kInvalid, "no share of a host");
  while (!text.empty()) {
    if (share.addresses.size() == kShareAddressesMax) {
      return Error(ErrorCode::kExhausted, "too many addresses of a host");
    }
    share.addresses.push_back(TRY(SocketAddress::parse_ip(take_word(text), 0)));
  }
  return share;
}

}  // namespace nines::node
