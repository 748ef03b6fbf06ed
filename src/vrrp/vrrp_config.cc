// The configuration's words for its own values.
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

std::string_view name_of(InitialState state) {
  return state == InitialState::kMaster ? "MASTER" : "BACKUP";
}

std::string_view name_of(AuthType type) { return type == AuthType::kPass ? "PASS" : "none"; }

std::string_view name_of(AddressScope scope) {
  switch (scope) {
    case AddressScope::kGlobal:
      return "global";
    case AddressScope::kSite:
      return "site";
    case AddressScope::kLink:
      return "link";
    case AddressScope::kHost:
      return "host";
  }
  return "";
}

}  // namespace nines::vrrp
