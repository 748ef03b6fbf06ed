// The expressions of ".if" and ".elif", section 2.4 of the manual. Internal to the parser.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "proxy/config_environment.h"

namespace nines::proxy {

// The version whose configuration language we speak: what version_atleast() is asked about.
inline constexpr std::string_view kHaproxyVersion = "2.6.12";

struct ConditionalVerdict {
  bool ok = false;
  bool value = false;
  std::size_t position = 0;  // of the mistake, in bytes of the expression
  std::string message, allowed;
};

// An empty expression is false.
ConditionalVerdict evaluate_conditional(std::string_view expression,
                                        const Environment& environment);

}  // namespace nines::proxy
