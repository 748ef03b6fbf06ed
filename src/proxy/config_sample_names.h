// The sample fetches, ACL keywords and converters of HAProxy 2.6 by name (sections 7.3 and 7.2), so
// that one which is only not supported is told from one which does not exist. Internal.
#pragma once

#include <string_view>
#include <vector>

namespace nines::proxy {

bool is_known_fetch(std::string_view name);
bool is_known_converter(std::string_view name);
std::vector<std::string_view> fetch_names();  // sorted

}  // namespace nines::proxy
