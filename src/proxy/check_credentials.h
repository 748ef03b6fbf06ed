// Who a health check logs in as: user, password and, for keystone, the project, from a small file
// that only the operator can read. Text in, values out; credential_files opens the files.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nines::proxy {

// Never shown: no log, no error, no dump and no statistic prints a member of this.
struct CheckCredentials {
  std::string user, password;
  // keystone only
  std::string user_domain = "Default";
  std::string project;  // empty: a token without a scope
  std::string project_domain = "Default";
  friend bool operator==(const CheckCredentials&, const CheckCredentials&) = default;
};

inline constexpr std::size_t kCredentialFileMax = 4096;  // bytes
inline constexpr std::size_t kCredentialMax = 512;       // bytes of one value

// Lines of "KEY = VALUE"; empty lines and those that begin with '#' say nothing; blanks around key
// and value do not count. Keys: user, password, user_domain, project, project_domain.
// kInvalid names the line and what is allowed, and never what stands there: it may be the password.
Result<CheckCredentials> parse_credentials(std::string_view text);

// What the files that a configuration names hold, by path; or why one cannot be used.
using CredentialTexts = std::map<std::string, Result<std::string>, std::less<>>;

}  // namespace nines::proxy
