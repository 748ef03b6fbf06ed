// The haproxy.cfg that a lab runs unless told otherwise: examples/openstack/haproxy.cfg, carried in
// the program so that it works wherever the program is.
#pragma once

#include <string_view>

namespace nines::lab {

std::string_view default_configuration();

}  // namespace nines::lab
