// What the recipes of real services have in common: paths and names as they are seen in a host,
// jobs of the shell, and the server that an OpenStack API runs in. Pure.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "lab/real_services.h"

namespace nines::lab {

inline constexpr std::string_view kServicePath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

// In the host's own directory, as the host sees it.
std::string in_host(std::string_view path);
// Of a service, as RealService::after names it.
std::string service_key(const HostPlan& host, std::string_view name);
// "ADDRESS1SUFFIX,ADDRESS2SUFFIX".
std::string each_address(std::span<const HostPlan> hosts, std::string_view suffix);
// Runs as root unless it is given an account.
RealService shell_job(std::string name, const HostPlan& host, std::string script);
// uWSGI's file for a Python script that has `application`, behind these ports of the host's. Each
// answer names the host (kNodeField).
std::string wsgi_server(const HostPlan& host, std::string_view script,
                        std::initializer_list<std::uint16_t> ports, int workers);

}  // namespace nines::lab
