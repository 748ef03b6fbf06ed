// The environment variables a configuration may refer to, as a value: the parser never reads the
// process's own.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace nines::proxy {

using Environment = std::map<std::string, std::string, std::less<>>;

}  // namespace nines::proxy
