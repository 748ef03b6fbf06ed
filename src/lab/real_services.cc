// The recipes. Every path is one that the host sees: its own directory is at kHostDirectory.
#include "lab/real_services.h"

#include <algorithm>
#include <array>

#include "lab/cloud_services.h"
#include "lab/lab_plan.h"
#include "lab/real_service_parts.h"

namespace nines::lab {
namespace {

using Readiness = RealService::Readiness;

constexpr std::string_view kDatabasePassword = "lab-keystone";
constexpr std::string_view kCheckPassword = "lab-check";
// 32 bytes in base64, as keystone keeps its keys. All controllers must have the same.
constexpr std::string_view kFernetKey = "bmluZXMtbGFiLWZlcm5ldC1rZXktMzItYnl0ZXMhISE=";
constexpr std::string_view kErlangCookie = "NINESLAB";

constexpr int kIdentityWorkers = 2;
constexpr std::array<std::string_view, 3> kSourceNames = {"stand-ins", "real", "openstack"};

constexpr std::array<std::string_view, 9> kPrograms = {
    "/usr/sbin/mariadbd",       "/usr/bin/mariadb-install-db",
    "/usr/bin/mariadb",         "/usr/lib/galera/libgalera_smm.so",
    "/usr/bin/rsync",           "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/bin/memcached",       "/usr/bin/keystone-manage",
    "/usr/bin/uwsgi_python311",
};

// The timeouts of its group communication make a dead member cost 2 s of stalled writes, not 6.
std::string database_configuration(const HostPlan& host, std::span<const HostPlan> hosts) {
  const std::string directory = in_host("mariadb");
  return "[mysqld]\nuser=mysql\ndatadir=" + directory + "/data\ntmpdir=" + directory +
         "/tmp\nsocket=" + directory + "/socket\npid-file=" + directory +
         "/pid\nbind-address=" + host.address +
         "\nskip-name-resolve\nbinlog_format=ROW\ndefault_storage_engine=InnoDB\n"
         "innodb_autoinc_lock_mode=2\ninnodb_flush_log_at_trx_commit=1\n"
         "innodb_buffer_pool_size=64M\ninnodb_log_file_size=16M\nmax_connections=500\n"
         "wsrep_on=ON\nwsrep_provider=/usr/lib/galera/libgalera_smm.so\nwsrep_cluster_name=lab\n"
         "wsrep_sst_method=rsync\nwsrep_cluster_address=gcomm://" +
         each_address(hosts, "") + "\nwsrep_node_address=" + host.address +
         "\nwsrep_node_name=" + host.name +
         "\nwsrep_provider_options=\"gcache.size=32M;gmcast.listen_addr=tcp://" + host.address +
         ":4567;ist.recv_addr=" + host.address +
         ":4568;evs.keepalive_period=PT0.25S;evs.inactive_check_period=PT0.2S;"
         "evs.suspect_timeout=PT1S;evs.inactive_timeout=PT3S;evs.install_timeout=PT3S\"\n";
}

// `haproxy` is the one of "option mysql-check", `nines` that of "option galera-check": neither may
// do anything. `lab`, the drills' client, writes into a table of its own.
std::string database_accounts() {
  return "CREATE DATABASE keystone;\n"
         "CREATE USER keystone@'%' IDENTIFIED BY '" +
         std::string(kDatabasePassword) +
         "';\nGRANT ALL ON keystone.* TO keystone@'%';\n"
         "CREATE USER haproxy@'%';\nCREATE USER lab@'%';\nCREATE USER nines@'%' IDENTIFIED BY '" +
         std::string(kCheckPassword) +
         "';\nCREATE DATABASE lab;\n"
         "CREATE TABLE lab.writes (id BIGINT AUTO_INCREMENT PRIMARY KEY, at DATETIME(6));\n"
         "GRANT INSERT, SELECT ON lab.* TO lab@'%';\n";
}

std::string identity_configuration(std::string_view database, std::span<const HostPlan> hosts) {
  return "[DEFAULT]\nuse_stderr = true\n[database]\nconnection = mysql+pymysql://keystone:" +
         std::string(kDatabasePassword) + '@' + std::string(database) +
         ":3306/keystone\nconnection_recycle_time = 10\nmax_pool_size = 2\nmax_retries = -1\n"
         "[cache]\nenabled = true\nbackend = oslo_cache.memcache_pool\nmemcache_servers = " +
         each_address(hosts, ":11211") +
         // Each worker asks a dead node four or five times before it believes that, each time for
         // so long (a second unless told).
         "\nmemcache_socket_timeout = 0.25" +
         "\n[token]\nprovider = fernet\n[fernet_tokens]\nkey_repository = " + in_host("fernet") +
         // Of its own; without one it looks for the package's, which not every package makes.
         "\n[fernet_receipts]\nkey_repository = " + in_host("fernet") +
         "\n[credential]\nkey_repository = " + in_host("credential") +
         // The least that it takes: the drills measure failures, not the cost of hashing.
         "\n[identity]\npassword_hash_rounds = 4\n"
         "[oslo_middleware]\nenable_proxy_headers_parsing = true\n";
}

std::string queue_configuration(const HostPlan& host, std::span<const HostPlan> hosts) {
  std::string text = "listeners.tcp.1 = " + host.address +
                     ":5672\nmanagement.tcp.ip = " + host.address +
                     "\nmanagement.tcp.port = 15672\nloopback_users = none\n"
                     "cluster_partition_handling = pause_minority\n"
                     "vm_memory_high_watermark.absolute = 512MB\n"
                     "cluster_formation.peer_discovery_backend = classic_config\n";
  int number = 0;
  for (const auto& each : hosts) {
    text += "cluster_formation.classic_config.nodes." + std::to_string(++number) + " = rabbit@" +
            each.name + '\n';
  }
  return text;
}

RealService database_setup(const HostPlan& host) {
  RealService job = shell_job(
      "mariadb-setup", host,
      "exec mariadb-install-db --no-defaults --user=mysql --datadir=" + in_host("mariadb/data") +
          " --auth-root-authentication-method=normal --skip-test-db --innodb-log-file-size=16M");
  job.directories = {"mariadb", "mariadb/data"};
  job.account = "mysql";
  return job;
}

RealService database_accounts_job(const HostPlan& host) {
  RealService job =
      shell_job("mariadb-accounts", host,
                "exec mariadb --no-defaults --user=root --socket=" + in_host("mariadb/socket") +
                    " <" + in_host("accounts.sql"));
  job.files = {{.name = "accounts.sql", .text = database_accounts()}};
  job.after = {service_key(host, "mariadb")};
  return job;
}

// A member starts its cluster only on an empty lab: afterwards it joins, so that a member that was
// killed does not come back as a second cluster.
RealService database(const HostPlan& host, std::span<const HostPlan> hosts) {
  RealService service;
  const bool first = &host == &hosts.front();
  const std::string directory = in_host("mariadb");
  service.name = "mariadb";
  service.host = host.name;
  service.account = "mysql";
  service.directories = {"mariadb", "mariadb/data", "mariadb/tmp"};
  service.files = {{.name = "my.cnf", .text = database_configuration(host, hosts)},
                   {.name = "galera.credentials",
                    .text = "user = nines\npassword = " + std::string(kCheckPassword) + '\n'}};
  service.command = {"/bin/sh", "-ec",
                     "first=; [ -e " + directory +
                         "/data/grastate.dat ] || first=" + (first ? "--wsrep-new-cluster" : "") +
                         "; exec mariadbd --defaults-file=" + in_host("my.cnf") + " $first"};
  service.environment = {std::string(kServicePath), "LANG=C.UTF-8", "HOME=/tmp"};
  service.readiness = Readiness::kProbe;
  service.ports = {3306};
  service.probe = {"/bin/sh", "-c",
                   "mariadb --no-defaults --user=root --connect-timeout=2 --socket=" + directory +
                       "/socket -Nse \"SHOW STATUS LIKE 'wsrep_local_state_comment'\" "
                       "2>/dev/null | grep -q Synced"};
  service.after = {service_key(hosts.front(), first ? "mariadb-setup" : "keystone-setup")};
  return service;
}

RealService queue(const HostPlan& host, std::span<const HostPlan> hosts) {
  RealService service;
  const std::string directory = in_host("rabbitmq");
  service.name = "rabbitmq";
  service.host = host.name;
  service.account = "rabbitmq";
  service.directories = {"rabbitmq", "rabbitmq/mnesia", "rabbitmq/log"};
  service.files = {
      {.name = "rabbitmq/rabbitmq.conf", .text = queue_configuration(host, hosts)},
      {.name = "rabbitmq/enabled_plugins", .text = "[rabbitmq_management].\n"},
      {.name = "rabbitmq/.erlang.cookie", .text = std::string(kErlangCookie), .mode = 0400}};
  service.command = {"/usr/lib/rabbitmq/bin/rabbitmq-server"};
  service.environment = {
      "HOME=" + directory, "RABBITMQ_NODENAME=rabbit@" + host.name,
      "RABBITMQ_CONF_ENV_FILE=/dev/null", "RABBITMQ_CONFIG_FILE=" + directory + "/rabbitmq.conf",
      "RABBITMQ_MNESIA_BASE=" + directory + "/mnesia", "RABBITMQ_LOG_BASE=" + directory + "/log",
      "RABBITMQ_ENABLED_PLUGINS_FILE=" + directory + "/enabled_plugins",
      "RABBITMQ_PID_FILE=" + directory + "/pid",
      // One scheduler that sleeps when it has nothing to do: six of these share a small machine.
      "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
      "ERL_EPMD_RELAXED_COMMAND_CHECK=1",
      "PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"};
  service.readiness = Readiness::kAnswers;
  service.ports = {15672};
  service.member_port = 25672;
  return service;
}

RealService cache(const HostPlan& host) {
  RealService service;
  service.name = "memcached";
  service.host = host.name;
  service.account = "memcache";
  service.command = {
      "/usr/bin/memcached", "-l", host.address, "-p", "11211", "-m", "32", "-t", "1"};
  service.environment = {std::string(kServicePath)};
  service.ports = {11211};
  return service;
}

std::vector<RealFile> identity_keys() {
  return {{.name = "fernet/0", .text = std::string(kFernetKey), .mode = 0600},
          {.name = "fernet/1", .text = std::string(kFernetKey), .mode = 0600},
          {.name = "credential/0", .text = std::string(kFernetKey), .mode = 0600},
          {.name = "credential/1", .text = std::string(kFernetKey), .mode = 0600}};
}

// The tables and the first user, straight at the first database: the balancer is not there yet.
RealService identity_setup(const HostPlan& host, std::span<const HostPlan> hosts) {
  const std::string manage = "keystone-manage --config-file " + in_host("keystone-setup.conf");
  std::string url = "http://";
  url.append(kVirtualAddress).append(":5000/v3");
  RealService job = shell_job(
      "keystone-setup", host,
      manage + " db_sync\nexec " + manage + " bootstrap --bootstrap-username " +
          std::string(kKeystoneUser) + " --bootstrap-password " + std::string(kKeystonePassword) +
          " --bootstrap-project-name admin --bootstrap-role-name admin"
          " --bootstrap-service-name keystone --bootstrap-region-id RegionOne"
          " --bootstrap-public-url " +
          url + " --bootstrap-internal-url " + url + " --bootstrap-admin-url " + url);
  job.account = "keystone";
  job.directories = {"fernet", "credential"};
  job.files = identity_keys();
  job.files.push_back(
      {.name = "keystone-setup.conf", .text = identity_configuration(host.address, hosts)});
  job.after = {service_key(host, "mariadb-accounts")};
  return job;
}

RealService identity(const HostPlan& host, std::span<const HostPlan> hosts) {
  RealService service;
  service.name = "keystone";
  service.host = host.name;
  service.account = "keystone";
  service.directories = {"fernet", "credential"};
  service.files = identity_keys();
  service.files.push_back(
      {.name = "keystone.conf", .text = identity_configuration(kVirtualAddress, hosts)});
  service.files.push_back({.name = "keystone.ini",
                           .text = wsgi_server(host, "/usr/bin/keystone-wsgi-public", {5000, 35357},
                                               kIdentityWorkers)});
  service.files.push_back({.name = "keystone.credentials",
                           .text = "user = " + std::string(kKeystoneUser) + "\npassword = " +
                                   std::string(kKeystonePassword) + "\nproject = admin\n"});
  service.command = {"/usr/bin/uwsgi_python311", "--ini", in_host("keystone.ini")};
  service.environment = {std::string(kServicePath), "LANG=C.UTF-8", "HOME=/tmp",
                         "OS_KEYSTONE_CONFIG_FILES=" + in_host("keystone.conf")};
  service.readiness = Readiness::kAnswers;
  service.ports = {5000, 35357};
  service.after = {service_key(hosts.front(), "keystone-setup")};
  return service;
}

}  // namespace

std::string_view name_of(ServiceSource source) {
  return kSourceNames[static_cast<std::size_t>(source)];
}

std::optional<ServiceSource> find_service_source(std::string_view name) {
  const auto found = std::find(kSourceNames.begin(), kSourceNames.end(), name);
  if (found == kSourceNames.end()) return std::nullopt;
  return static_cast<ServiceSource>(found - kSourceNames.begin());
}

std::vector<RealService> plan_real_services(std::span<const HostPlan> controllers) {
  std::vector<RealService> plan;
  const HostPlan& first = controllers.front();
  plan.push_back(database_setup(first));
  plan.push_back(database_accounts_job(first));
  plan.push_back(identity_setup(first, controllers));
  for (const auto& host : controllers) {
    plan.push_back(database(host, controllers));
    plan.push_back(queue(host, controllers));
    plan.push_back(cache(host));
    plan.push_back(identity(host, controllers));
  }
  return plan;
}

std::string_view real_service_for(std::string_view stand_in, ServiceSource source) {
  if (!has_real_services(source)) return {};
  if (stand_in == "mariadb") return "mariadb";
  if (stand_in == "rabbitmq_management") return "rabbitmq";
  if (stand_in == "keystone" || stand_in == "keystone_admin") return "keystone";
  return source == ServiceSource::kOpenStack ? cloud_service_for(stand_in) : std::string_view();
}

std::vector<std::string_view> programs_of(ServiceSource source) {
  std::vector<std::string_view> programs;
  if (!has_real_services(source)) return programs;
  programs.assign(kPrograms.begin(), kPrograms.end());
  if (source != ServiceSource::kOpenStack) return programs;
  const auto cloud = cloud_programs();
  programs.insert(programs.end(), cloud.begin(), cloud.end());
  return programs;
}

std::string_view packages_of(ServiceSource source) {
  return source == ServiceSource::kOpenStack ? "tools/deps lab-full" : "tools/deps lab-real";
}

std::string token_request() {
  const std::string body =
      R"({"auth":{"identity":{"methods":["password"],"password":{"user":{"name":")" +
      std::string(kKeystoneUser) + R"(","domain":{"name":"Default"},"password":")" +
      std::string(kKeystonePassword) +
      R"("}}},"scope":{"project":{"name":"admin","domain":{"name":"Default"}}}}})";
  return "POST /v3/auth/tokens HTTP/1.1\r\nHost: vip\r\nUser-Agent: nines-drill\r\n"
         "Content-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

}  // namespace nines::lab
