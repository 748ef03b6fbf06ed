// Real services on the lab's controllers, as values: MariaDB with Galera, RabbitMQ, memcached and
// keystone from Debian's packages. What each needs, whom it waits for, how it tells that it is
// ready. Pure; real_service_run starts one. The rest of an OpenStack is in cloud_services.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nines::lab {

struct HostPlan;

enum class ServiceSource : std::uint8_t {
  kStandIns,
  kReal,       // what is in this file; stand-ins for the rest
  kOpenStack,  // and what is in cloud_services.h, on compute hosts too
};
std::string_view name_of(ServiceSource source);
// "stand-ins", "real", "openstack".
std::optional<ServiceSource> find_service_source(std::string_view name);
// Tokens can be asked for and transactions written there.
inline bool has_real_services(ServiceSource source) { return source != ServiceSource::kStandIns; }

// In the host's own directory; the owner is that of the service.
struct RealFile {
  std::string name;
  std::string text;
  unsigned mode = 0640;
};

struct RealService {
  enum class Readiness : std::uint8_t {
    kAccepts,   // connections to all of `ports`
    kAnswers,   // HTTP, whatever it says, on all of `ports`
    kProbe,     // when `probe` ends with 0
    kFinished,  // a job: its own end with 0; it runs once in a lab's life
  };
  std::string name;  // as the lab's commands have it
  std::string host;
  std::string account;  // whose rights it has; empty: root's
  std::vector<std::string> command;
  std::vector<std::string> environment;  // all of it
  std::vector<std::string> directories;  // made in the host's own directory, in this order
  std::vector<RealFile> files;
  Readiness readiness = Readiness::kAccepts;
  std::vector<std::uint16_t> ports;  // at the host's address
  std::vector<std::string> probe;
  // Where its members on other hosts keep connections to it; 0: nowhere. A machine takes longer to
  // boot than they take to notice that it is dead, the lab's host does not: they notice first.
  std::uint16_t member_port = 0;
  // "HOST NAME" of those that must be ready first, at the lab's start.
  std::vector<std::string> after;
  // It wants the balancer's address already as it starts: begun when that answers.
  bool needs_address = false;

  bool is_job() const { return readiness == Readiness::kFinished; }
};

// Of these controllers, in the order of a start.
std::vector<RealService> plan_real_services(std::span<const HostPlan> controllers);

// The real service that stands for a stand-in ("keystone_admin" is a port of "keystone"); empty
// when none does.
std::string_view real_service_for(std::string_view stand_in, ServiceSource source);

// Programs that must be there, and the command that installs them.
std::vector<std::string_view> programs_of(ServiceSource source);
std::string_view packages_of(ServiceSource source);

// Fixed, since nobody but the lab's own hosts and this machine's users can reach it.
inline constexpr std::string_view kKeystoneUser = "admin";
inline constexpr std::string_view kKeystonePassword = "lab-admin";
// Asks for a token with the user above, as one whole HTTP request.
std::string token_request();
inline constexpr std::string_view kTokenAnswer = "HTTP/1.1 201 ";

}  // namespace nines::lab
