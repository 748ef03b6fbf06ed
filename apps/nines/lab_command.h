// `nines lab ...`: several hosts on this machine, and faults for them.
#pragma once

#include <map>
#include <span>
#include <string>

#include "base/result.h"

namespace nines {

// `arguments` without the program's name and "lab". Answers the exit status: 0 good, 1 it failed,
// 2 usage, 3 no such lab; of `exec` the command's own.
int lab_command(std::span<char*> arguments);

// A key file's text for one lab's cluster.
Result<std::string> lab_cluster_key();
// By host, for compute hosts that hear verdicts: texts of key files.
Result<std::map<std::string, std::string>> lab_listener_keys(const std::string& cluster_key);

}  // namespace nines
