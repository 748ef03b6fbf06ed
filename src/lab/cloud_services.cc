// The recipes. Paths are as a host sees them. Every service speaks with all others through the
// address and the balancer, except with RabbitMQ and memcached, whose clients know all nodes.
#include "lab/cloud_services.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "lab/lab_plan.h"
#include "lab/real_service_parts.h"

namespace nines::lab {
namespace {

using Readiness = RealService::Readiness;

constexpr std::string_view kDatabasePassword = "lab-openstack";
constexpr std::string_view kDatabaseUser = "openstack";
constexpr std::uint16_t kImagePort = 9292;
constexpr std::uint16_t kComputePort = 8774;
constexpr std::uint16_t kPlacementPort = 8780;
constexpr std::uint16_t kNetworkPort = 9696;
constexpr int kWorkers = 1;  // of each API on each host: all of it shares a small machine

constexpr std::array<std::string_view, 14> kPrograms = {
    "/usr/bin/glance-manage",     "/usr/bin/glance-wsgi-api", "/usr/bin/placement-manage",
    "/usr/bin/placement-api",     "/usr/bin/nova-manage",     "/usr/bin/nova-api-wsgi",
    "/usr/bin/nova-conductor",    "/usr/bin/nova-scheduler",  "/usr/bin/nova-compute",
    "/usr/bin/neutron-db-manage", "/usr/bin/neutron-server",  "/usr/bin/curl",
    "/usr/bin/dpkg-query",        "/usr/bin/flock",
};

constexpr std::array<std::string_view, 6> kDatabases = {"glance", "placement",  "nova_api",
                                                        "nova",   "nova_cell0", "neutron"};

std::string at_address(std::uint16_t port) {
  return "http://" + std::string(kVirtualAddress) + ':' + std::to_string(port);
}

std::string database_url(std::string_view name) {
  return "mysql+pymysql://" + std::string(kDatabaseUser) + ':' + std::string(kDatabasePassword) +
         '@' + std::string(kVirtualAddress) + ":3306/" + std::string(name);
}

std::string queue_url(std::span<const HostPlan> controllers) {
  std::string url;
  for (const auto& host : controllers) {
    url += (url.empty() ? "rabbit://" : ",") + ("guest:guest@" + host.address) + ":5672";
  }
  return url + "//";
}

// A connection is not used for longer than the balancer leaves it in peace; a database that is away
// is waited for.
std::string database_section(std::string_view section, std::string_view name) {
  return '[' + std::string(section) + "]\nconnection = " + database_url(name) +
         "\nconnection_recycle_time = 10\nmax_pool_size = 2\nmax_overflow = 20\n"
         "max_retries = -1\n";
}

std::string login_of(std::string_view section) {
  return '[' + std::string(section) + "]\nauth_type = password\nauth_url = " + at_address(5000) +
         "/v3\nusername = " + std::string(kKeystoneUser) +
         "\npassword = " + std::string(kKeystonePassword) +
         "\nproject_name = admin\nuser_domain_name = Default\nproject_domain_name = Default\n"
         "region_name = RegionOne\n";
}

// Tokens that clients bring. The patience with a cache is in whole seconds.
std::string token_section(std::span<const HostPlan> controllers) {
  return login_of("keystone_authtoken") + "www_authenticate_uri = " + at_address(5000) +
         "\nmemcached_servers = " + each_address(controllers, ":11211") +
         "\nmemcache_use_advanced_pool = true\nmemcache_pool_socket_timeout = 1\n";
}

struct Naming {
  const HostPlan& host;
  std::string service;  // its directory's name, too
  std::string path(std::string_view file) const {
    return in_host(service) + '/' + std::string(file);
  }
};

std::string nova_configuration(const Naming& naming, std::span<const HostPlan> controllers) {
  return "[DEFAULT]\nhost = " + naming.host.name + "\nmy_ip = " + naming.host.address +
         "\ntransport_url = " + queue_url(controllers) +
         "\nstate_path = " + in_host(naming.service) +
         // A service that says nothing for so long is not given work.
         "\nreport_interval = 3\nservice_down_time = 15\n"
         // Questions to hypervisors that there are not.
         "heal_instance_info_cache_interval = -1\nsync_power_state_interval = -1\n"
         "compute_driver = fake.FakeDriver\n"
         "[oslo_concurrency]\nlock_path = " +
         naming.path("lock") +
         "\n[oslo_messaging_notifications]\ndriver = noop\n"
         "[conductor]\nworkers = 1\n[scheduler]\nworkers = 1\n[vnc]\nenabled = false\n"
         "[quota]\ninstances = -1\ncores = -1\nram = -1\n" +
         login_of("placement") + login_of("neutron") + token_section(controllers);
}

std::string nova_databases() {
  return database_section("database", "nova") + database_section("api_database", "nova_api");
}

RealService service_of(const Naming& naming, std::string_view account) {
  RealService service;
  service.name = naming.service;
  service.host = naming.host.name;
  service.account = account;
  service.directories = {naming.service};
  service.environment = {std::string(kServicePath), "LANG=C.UTF-8", "HOME=/tmp"};
  service.needs_address = true;
  return service;
}

// An API in uWSGI. Its configuration is a directory, into which the package's files are copied
// that say how its parts are put together.
RealService api_of(const Naming& naming, std::string_view account, std::string_view script,
                   std::uint16_t port, const std::string& copied) {
  RealService service = service_of(naming, account);
  const std::string ini = naming.service + "/uwsgi.ini";
  service.files = {{.name = ini, .text = wsgi_server(naming.host, script, {port}, kWorkers)}};
  service.command = {"/bin/sh", "-ec",
                     (copied.empty() ? "" : "cp " + copied + ' ' + in_host(naming.service) + "\n") +
                         "exec /usr/bin/uwsgi_python311 --ini " + in_host(ini)};
  service.readiness = Readiness::kAnswers;
  service.ports = {port};
  return service;
}

RealService image(const HostPlan& host, std::span<const HostPlan> controllers) {
  const Naming naming{host, "glance_api"};
  RealService service = api_of(naming, "glance", "/usr/bin/glance-wsgi-api", kImagePort,
                               "/etc/glance/glance-api-paste.ini");
  service.directories.push_back(naming.service + "/images");
  service.files.push_back({.name = naming.service + "/glance-api.conf",
                           .text = database_section("database", "glance") +
                                   "[glance_store]\nstores = file\ndefault_store = file\n"
                                   "filesystem_store_datadir = " +
                                   naming.path("images") +
                                   "\n[paste_deploy]\nflavor = keystone\n"
                                   "[oslo_concurrency]\nlock_path = " +
                                   naming.path("lock") + '\n' + token_section(controllers)});
  service.environment.push_back("OS_GLANCE_CONFIG_DIR=" + in_host(naming.service));
  return service;
}

// Ready when the balancer, too, has found it: scheduler and conductor end for good when it does not
// answer them.
RealService placement(const HostPlan& host, std::span<const HostPlan> controllers) {
  const Naming naming{host, "placement_api"};
  RealService service = api_of(naming, "placement", "/usr/bin/placement-api", kPlacementPort, {});
  service.files.push_back(
      {.name = naming.service + "/placement.conf",
       .text = database_section("placement_database", "placement") + token_section(controllers)});
  service.environment.push_back("OS_PLACEMENT_CONFIG_DIR=" + in_host(naming.service));
  service.readiness = Readiness::kProbe;
  const std::string ask = "curl --silent --fail --max-time 5 --output /dev/null ";
  service.probe = {"/bin/sh", "-ec",
                   ask + "http://" + host.address + ':' + std::to_string(kPlacementPort) + "/\n" +
                       ask + at_address(kPlacementPort) + '/'};
  return service;
}

RealService compute_api(const HostPlan& host, std::span<const HostPlan> controllers) {
  const Naming naming{host, "nova_api"};
  RealService service =
      api_of(naming, "nova", "/usr/bin/nova-api-wsgi", kComputePort, "/etc/nova/api-paste.ini");
  service.files.push_back({.name = naming.service + "/nova.conf",
                           .text = nova_configuration(naming, controllers) + nova_databases()});
  service.environment.push_back("OS_NOVA_CONFIG_DIR=" + in_host(naming.service));
  return service;
}

// nova's programs without a port have said that they are alive in the services' table, after they
// had started; anew after each start, since that is seconds longer than a report is good for.
RealService compute_program(std::string_view binary, std::string_view name, const HostPlan& host,
                            std::span<const HostPlan> controllers) {
  const Naming naming{host, std::string(name)};
  RealService service = service_of(naming, "nova");
  service.files = {
      {.name = naming.service + "/nova.conf",
       .text = nova_configuration(naming, controllers) +
               (host.role == HostRole::kController ? nova_databases() : std::string())}};
  service.command = {"/usr/bin/" + std::string(binary), "--config-file", naming.path("nova.conf")};
  service.readiness = Readiness::kProbe;
  service.probe = {
      "/bin/sh", "-c",
      "mariadb --no-defaults --connect-timeout=2 --host=" + std::string(kVirtualAddress) +
          " --user=" + std::string(kDatabaseUser) + " --password=" +
          std::string(kDatabasePassword) + " -Nse \"SELECT 1 FROM nova.services WHERE host = '" +
          host.name + "' AND services.binary = '" + std::string(binary) +
          "' AND last_seen_up > UTC_TIMESTAMP() - INTERVAL 5 SECOND\" 2>/dev/null | grep -q 1"};
  return service;
}

RealService network(const HostPlan& host, std::span<const HostPlan> controllers) {
  const Naming naming{host, "neutron"};
  RealService service = service_of(naming, "neutron");
  service.files = {
      {.name = naming.service + "/neutron.conf",
       .text = "[DEFAULT]\nhost = " + host.name + "\nbind_host = " + host.address +
               "\nbind_port = " + std::to_string(kNetworkPort) + "\ntransport_url = " +
               queue_url(controllers) + "\nstate_path = " + in_host(naming.service) +
               "\ncore_plugin = ml2\nservice_plugins = router\nauth_strategy = keystone\n"
               "api_paste_config = /etc/neutron/api-paste.ini\n"
               "api_workers = 1\nrpc_workers = 0\nrpc_state_report_workers = 0\n"
               "notify_nova_on_port_status_changes = false\n"
               "notify_nova_on_port_data_changes = false\n"
               // A kind of network with something in the database: it is by asking
               // for that as it starts that neutron gets its tables' relations ready.
               "[ml2]\ntype_drivers = vxlan\ntenant_network_types = vxlan\n"
               "mechanism_drivers =\n[ml2_type_vxlan]\nvni_ranges = 1:8\n"
               "[oslo_messaging_notifications]\ndriver = noop\n"
               "[oslo_concurrency]\nlock_path = " +
               naming.path("lock") + '\n' + database_section("database", "neutron") +
               token_section(controllers)}};
  service.command = {"/usr/bin/neutron-server", "--config-file", naming.path("neutron.conf")};
  service.readiness = Readiness::kAnswers;
  service.ports = {kNetworkPort};
  return service;
}

// ---- The seed: all tables and what must be in them, in the directory of a database of its own.

std::string statement_for_catalog(std::string_view name, std::string_view type,
                                  const std::string& url) {
  const std::string quoted_name = '\'' + std::string(name) + '\'';
  std::string text = "INSERT INTO keystone.service (id, type, enabled, extra) VALUES (" +
                     quoted_name + ", '" + std::string(type) + "', 1, '{\"name\": \"" +
                     std::string(name) + "\"}');\n";
  for (const std::string interface : {"public", "internal", "admin"}) {
    text +=
        "INSERT INTO keystone.endpoint (id, interface, service_id, url, extra, enabled, "
        "region_id) VALUES ('" +
        std::string(name) + '-' + interface + "', '" + interface + "', " + quoted_name + ", '" +
        url + "', '{}', 1, 'RegionOne');\n";
  }
  return text;
}

// What an operator does with a client once the tables are there, as statements: it takes no time.
std::string seed_contents(std::span<const HostPlan> controllers,
                          std::span<const HostPlan> computes) {
  std::string text = statement_for_catalog("glance", "image", at_address(kImagePort)) +
                     statement_for_catalog("placement", "placement", at_address(kPlacementPort)) +
                     statement_for_catalog("nova", "compute", at_address(kComputePort) + "/v2.1") +
                     statement_for_catalog("neutron", "network", at_address(kNetworkPort));
  // "nova-manage cell_v2 map_cell0, create_cell, discover_hosts".
  text +=
      "INSERT INTO nova_api.cell_mappings (created_at, uuid, name, transport_url, "
      "database_connection, disabled) VALUES\n"
      "  (NOW(), '00000000-0000-0000-0000-000000000000', 'cell0', 'none:///', '" +
      database_url("nova_cell0") +
      "', 0),\n  (NOW(), '6e696e65-732d-4c61-8263-656c6c310001', 'cell1', '" +
      queue_url(controllers) + "', '" + database_url("nova") + "', 0);\n";
  for (const auto& host : computes) {
    text += "INSERT INTO nova_api.host_mappings (created_at, cell_id, host) SELECT NOW(), id, '" +
            host.name + "' FROM nova_api.cell_mappings WHERE name = 'cell1';\n";
  }
  text +=
      "INSERT INTO nova_api.flavors (created_at, name, memory_mb, vcpus, swap, flavorid, "
      "rxtx_factor, root_gb, ephemeral_gb, disabled, is_public) VALUES (NOW(), 'tiny', 64, 1, "
      "0, '" +
      std::string(kCloudFlavor) + "', 1, 1, 0, 0, 1);\n";
  text +=
      "INSERT INTO glance.images (id, name, size, status, created_at, updated_at, deleted, "
      "disk_format, container_format, owner, min_disk, min_ram, protected, visibility, "
      "os_hidden) SELECT '" +
      std::string(kCloudImage) +
      "', 'empty', 1, 'active', NOW(), NOW(), 0, 'raw', 'bare', id, 0, 0, 0, 'public', 0 FROM "
      "keystone.project WHERE name = 'admin';\n";
  return text;
}

std::string seed_databases() {
  std::string text = "CREATE USER " + std::string(kDatabaseUser) + "@'%' IDENTIFIED BY '" +
                     std::string(kDatabasePassword) + "';\n";
  for (const auto name : kDatabases) {
    text += "CREATE DATABASE " + std::string(name) + ";\nGRANT ALL ON " + std::string(name) +
            ".* TO " + std::string(kDatabaseUser) + "@'%';\n";
  }
  return text;
}

// Nobody but root's own client can reach the database that makes the seed: it has no port.
std::string seed_configuration(std::string_view section, std::string_view database) {
  return '[' + std::string(section) + "]\nconnection = mysql+pymysql://root@localhost/" +
         std::string(database) + "?unix_socket=" + in_host("seed/socket") + '\n';
}

// The key is of all that goes into it. A lock, since labs of other names may start meanwhile; a
// run that was broken off leaves a directory of another name, which the next one removes.
std::string seed_script() {
  const std::string here = in_host("seed");
  const std::string client = "mariadb --no-defaults --user=root --socket=" + here + "/socket";
  const std::string root(kSeedDirectory);
  std::string endpoint = at_address(5000) + "/v3";
  return "mkdir -p " + root + "\nexec 9>" + root + "/lock\nflock 9\n" +
         "versions=$(dpkg-query -W -f '${Package} ${Version}\\n' mariadb-server keystone "
         "glance-common placement-common nova-common neutron-common)\n"
         "key=$({ echo \"$versions\"; cat " +
         here + "/*.sql " + here + "/*.conf " + here +
         "/seed.sh; } | sha256sum | cut -c1-16)\nseed=" + root +
         "/openstack-$key\n"
         "if [ ! -d $seed ]; then\n"
         "  rm -rf " +
         root + "/openstack-*\n" + "  mkdir -m 0700 $seed.new\n  chown mysql $seed.new " + here +
         "\n" +
         "  mariadb-install-db --no-defaults --user=mysql --datadir=$seed.new"
         " --auth-root-authentication-method=normal --skip-test-db --innodb-log-file-size=16M\n"
         // What is lost by a power cut is made again.
         "  mariadbd --no-defaults --user=mysql --datadir=$seed.new --socket=" +
         here + "/socket --pid-file=" + here +
         "/pid --skip-networking --skip-log-bin --innodb-log-file-size=16M"
         " --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 9>&- &\n"
         "  database=$!\n"
         "  mariadb-admin --no-defaults --user=root --socket=" +
         here + "/socket --wait=100 --connect-timeout=1 ping\n  " + client + " <" + here +
         "/accounts.sql\n  " + client + " <" + here +
         "/databases.sql\n"
         "  { keystone-manage --config-file " +
         here + "/keystone.conf db_sync\n    keystone-manage --config-file " + here +
         "/keystone.conf bootstrap --bootstrap-username " + std::string(kKeystoneUser) +
         " --bootstrap-password " + std::string(kKeystonePassword) +
         " --bootstrap-project-name admin --bootstrap-role-name admin"
         " --bootstrap-service-name keystone --bootstrap-region-id RegionOne"
         " --bootstrap-public-url " +
         endpoint + " --bootstrap-internal-url " + endpoint + " --bootstrap-admin-url " + endpoint +
         "\n    glance-manage --config-file " + here +
         "/glance.conf db_sync\n    placement-manage --config-file " + here +
         "/placement.conf db sync\n  } &\n  first=$!\n"
         "  { nova-manage --config-file " +
         here + "/nova.conf db sync --local_cell\n    nova-manage --config-file " + here +
         "/nova.conf api_db sync\n  } &\n  second=$!\n  neutron-db-manage --config-file " + here +
         "/neutron.conf upgrade heads\n  wait $first\n  wait $second\n"
         // The empty cell has the very same tables.
         "  mariadb-dump --no-defaults --user=root --socket=" +
         here + "/socket nova >" + here + "/nova.dump\n  " + client + " nova_cell0 <" + here +
         "/nova.dump\n  " + client + " <" + here + "/contents.sql\n" +
         "  mariadb-admin --no-defaults --user=root --socket=" + here +
         "/socket shutdown\n  wait $database\n  mv $seed.new $seed\nfi\n"
         "cp -a $seed/. " +
         in_host("mariadb/data") + '\n';
}

// `accounts`: the statements of the real services' own accounts.
RealService seed(const HostPlan& host, std::span<const HostPlan> controllers,
                 std::span<const HostPlan> computes, const std::string& accounts) {
  RealService job = shell_job("mariadb-setup", host, ". " + in_host("seed/seed.sh"));
  job.directories = {"mariadb", "mariadb/data", "seed"};
  job.files = {
      {.name = "seed/seed.sh", .text = seed_script()},
      {.name = "seed/accounts.sql", .text = accounts},
      {.name = "seed/databases.sql", .text = seed_databases()},
      {.name = "seed/contents.sql", .text = seed_contents(controllers, computes)},
      {.name = "seed/keystone.conf",
       .text =
           seed_configuration("database", "keystone") + "[identity]\npassword_hash_rounds = 4\n"},
      {.name = "seed/glance.conf", .text = seed_configuration("database", "glance")},
      {.name = "seed/placement.conf",
       .text = seed_configuration("placement_database", "placement")},
      {.name = "seed/nova.conf",
       .text =
           seed_configuration("database", "nova") + seed_configuration("api_database", "nova_api")},
      {.name = "seed/neutron.conf",
       .text = "[DEFAULT]\ncore_plugin = ml2\n" + seed_configuration("database", "neutron")}};
  return job;
}

// Read by a RabbitMQ that starts on an empty disk. Queues are mirrored, as deployments with
// RabbitMQ 3.x have them: what a dead node's queue held is at the others.
std::string queue_definitions() {
  return R"({"users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
 "vhosts": [{"name": "/"}],
 "permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
 "policies": [{"vhost": "/", "name": "ha-all", "pattern": "^(?!amq\\.).*", "apply-to": "all",
  "definition": {"ha-mode": "all", "ha-sync-mode": "automatic"}, "priority": 0}]}
)";
}

void mirror_queues(RealService& service) {
  const std::string name = "rabbitmq/definitions.json";
  service.files.push_back({.name = name, .text = queue_definitions()});
  for (auto& file : service.files) {
    if (file.name == "rabbitmq/rabbitmq.conf") {
      file.text += "load_definitions = " + in_host(name) + '\n';
    }
  }
}

// What real services do in jobs of theirs is in the seed already. The databases join one after the
// other: the whole of the seed is copied to each.
std::vector<RealService> without_jobs(std::vector<RealService> plan, const HostPlan& first,
                                      std::string& accounts) {
  for (const auto& each : plan) {
    for (const auto& file : each.files) {
      if (file.name == "accounts.sql") accounts = file.text;
    }
  }
  std::erase_if(plan, [](const RealService& each) { return each.is_job(); });
  std::string last = service_key(first, "mariadb-setup");
  for (auto& each : plan) {
    if (each.name == "mariadb") {
      each.after = {last};
      last = each.host + " mariadb";
    }
    if (each.name == "keystone") each.after = {service_key(first, "mariadb")};
    if (each.name == "rabbitmq") mirror_queues(each);
  }
  return plan;
}

// Of every program with a queue.
void reconnect_after(Duration delay, std::vector<RealService>& plan) {
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3f",
                static_cast<double>(milliseconds_of(delay)) / 1000);
  for (RealService& service : plan) {
    for (auto& file : service.files) {
      if (file.text.find("\ntransport_url = ") == file.text.npos) continue;
      file.text +=
          "[oslo_messaging_rabbit]\nkombu_reconnect_delay = " + std::string(seconds) + '\n';
    }
  }
}

}  // namespace

std::vector<RealService> plan_cloud_services(std::span<const HostPlan> controllers,
                                             std::span<const HostPlan> computes,
                                             const CloudTuning& tuning) {
  const HostPlan& first = controllers.front();
  std::string accounts;
  auto plan = without_jobs(plan_real_services(controllers), first, accounts);
  plan.insert(plan.begin(), seed(first, controllers, computes, accounts));
  std::vector<std::string> brains;
  for (const auto& host : controllers) {
    plan.push_back(placement(host, controllers));
    plan.push_back(image(host, controllers));
    plan.push_back(network(host, controllers));
    plan.push_back(compute_api(host, controllers));
    for (const auto& [binary, name] : {std::pair("nova-conductor", "nova_conductor"),
                                       std::pair("nova-scheduler", "nova_scheduler")}) {
      auto program = compute_program(binary, name, host, controllers);
      program.after = {service_key(host, "placement_api")};
      brains.push_back(service_key(host, name));
      plan.push_back(std::move(program));
    }
  }
  for (const auto& host : computes) {
    auto program = compute_program("nova-compute", "nova_compute", host, controllers);
    program.after = brains;
    plan.push_back(std::move(program));
  }
  if (tuning.reconnect_delay) reconnect_after(*tuning.reconnect_delay, plan);
  return plan;
}

std::string_view cloud_service_for(std::string_view stand_in) {
  for (const std::string_view name : {"glance_api", "placement_api", "nova_api", "neutron"}) {
    if (stand_in == name) return name;
  }
  return {};
}

std::span<const std::string_view> cloud_programs() { return kPrograms; }

}  // namespace nines::lab
