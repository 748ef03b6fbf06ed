// Text, put together.
#include "lab/real_service_parts.h"

#include "lab/http_answer.h"
#include "lab/lab_plan.h"

namespace nines::lab {

std::string in_host(std::string_view path) {
  return std::string(kHostDirectory) + '/' + std::string(path);
}

std::string service_key(const HostPlan& host, std::string_view name) {
  return host.name + ' ' + std::string(name);
}

std::string each_address(std::span<const HostPlan> hosts, std::string_view suffix) {
  std::string list;
  for (const auto& host : hosts) {
    if (!list.empty()) list += ',';
    list += host.address + std::string(suffix);
  }
  return list;
}

RealService shell_job(std::string name, const HostPlan& host, std::string script) {
  RealService job;
  job.name = std::move(name);
  job.host = host.name;
  job.command = {"/bin/sh", "-ec", std::move(script)};
  job.environment = {std::string(kServicePath), "LANG=C.UTF-8", "HOME=/tmp"};
  job.readiness = RealService::Readiness::kFinished;
  return job;
}

std::string wsgi_server(const HostPlan& host, std::string_view script,
                        std::initializer_list<std::uint16_t> ports, int workers) {
  std::string text =
      "[uwsgi]\nplugins = python3\nmaster = true\nlazy-apps = true\nneed-app = true\n"
      "enable-threads = true\nprocesses = " +
      std::to_string(workers) + "\nthreads = 1\nbuffer-size = 65535\n";
  for (const auto port : ports) {
    text += "http-socket = " + host.address + ':' + std::to_string(port) + '\n';
  }
  return text +
         "die-on-term = true\nadd-header = Connection: close\nhttp-chunked-input = true\n"
         "add-header = " +
         std::string(kNodeField) + ": " + host.name + "\nwsgi-file = " + std::string(script) +
         "\ndisable-logging = true\n";
}

}  // namespace nines::lab
