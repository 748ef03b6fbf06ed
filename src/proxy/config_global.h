// The "global" section, section 3. Internal to the parser.
#pragma once

#include "proxy/config_environment.h"
#include "proxy/config_statement.h"
#include "proxy/proxy_config.h"

namespace nines::proxy {

struct GlobalDraft {
  GlobalConfig& config;
  Environment& environment;  // "setenv" changes what follows
};

void read_global_statement(GlobalDraft& draft, Statement& statement);

}  // namespace nines::proxy
