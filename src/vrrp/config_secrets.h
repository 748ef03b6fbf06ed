// Passwords stay out of what is shown: complaints quote the line they are about, and they go to
// terminals, to the log and to tools. Internal to the parser.
#pragma once

#include <vector>

#include "text/diagnostics.h"
#include "text/source.h"
#include "vrrp/config_tree.h"

namespace nines::vrrp {

// Makes stars of all that follows an "auth_pass", of what stands in "authentication { }" and is no
// keyword of it, and of the values of definitions: in `files`, whose columns stay as they are, and
// in what `diagnostics` quote from there.
void hide_secrets(const std::vector<Statement>& tree, std::vector<text::SourceFile>& files,
                  text::Diagnostics& diagnostics);

}  // namespace nines::vrrp
