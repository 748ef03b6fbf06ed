// Reads the files of credentials that a configuration names, and refuses those that others could
// have read before us.
#pragma once

#include <span>
#include <string>

#include "proxy/check_credentials.h"

namespace nines::proxy {

// One file: a regular one, at most kCredentialFileMax bytes, with no right for "others" in its mode
// (kRefused says which it has and what to type). Blocking.
Result<std::string> read_credential_file(const std::string& path);

CredentialTexts read_credential_files(std::span<const std::string> paths);

}  // namespace nines::proxy
