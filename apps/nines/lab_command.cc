// The lab's command line: words to requests, replies to tables.
#include "lab_command.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <sys/random.h>
#include <unistd.h>

#include "cluster/cluster_key.h"
#include "cluster/verdict_wire.h"
#include "lab/default_configuration.h"
#include "lab/lab_control.h"
#include "lab/lab_plan.h"
#include "lab/packet_swallow.h"
#include "lab/stand_in.h"

namespace nines {
namespace {

using Json = nlohmann::json;

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoLab = 3;

int fail(const Error& error) {
  std::fprintf(stderr, "nines lab: %s\n", error.message().c_str());
  return error.code() == ErrorCode::kNotFound ? kExitNoLab : kExitFailed;
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<Json> ask(const lab::LabControl& control, const Json& request) {
  const std::string reply = TRY(control.ask(request.dump()));
  Json answer = Json::parse(reply, nullptr, false);
  if (!answer.is_object()) return Error(ErrorCode::kInvalid, "the keeper's reply is not JSON");
  if (answer.contains("error")) return Error(ErrorCode::kInvalid, text_of(answer, "error"));
  return answer;
}

Result<Json> ask(const std::string& name, const Json& request) {
  const auto control = TRY(lab::LabControl::open(name));
  return ask(control, request);
}

std::string own_program() {
  std::array<char, 4096> path;
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : "nines";
}

// The files of the host that has the virtual address, or of the first.
void print_whereabouts(const Json& status) {
  std::string socket = text_of(status, "runtime_socket");
  std::string log = text_of(status, "log");
  for (const auto& host : status["hosts"]) {
    if (host["owns_virtual_address"] != true || !host.contains("log")) continue;
    socket = text_of(host, "runtime_socket");
    log = text_of(host, "log");
    break;
  }
  for (const auto& each : status["forwards"]) {
    if (!text_of(each, "target").ends_with(":" + std::to_string(lab::kStatisticsPort))) continue;
    std::printf("statistics page   http://%s/ (user %s)\n", text_of(each, "local").c_str(),
                std::string(lab::kStatisticsUser).c_str());
  }
  std::printf("runtime socket    %s\n", socket.c_str());
  std::printf("configuration     %s\n", text_of(status, "configuration").c_str());
  std::printf("log               %s\n", log.c_str());
  std::printf("balancer's output %s\n", text_of(status, "balancer_output").c_str());
}

void print_forwards(const Json& status) {
  std::printf("\non this machine:\n");
  for (const auto& each : status["forwards"]) {
    std::printf("  %-22s %-20s -> %s\n", text_of(each, "name").c_str(),
                text_of(each, "local").c_str(), text_of(each, "target").c_str());
  }
}

// A line for each host; services that run are counted, the others named.
void print_hosts(const Json& status) {
  for (const auto& host : status["hosts"]) {
    std::string address = text_of(host, "address");
    if (host["owns_virtual_address"] == true) address += " " + text_of(status, "virtual_address");
    std::size_t running = 0;
    std::string others;
    for (const auto& service : host["services"]) {
      if (text_of(service, "state") == "running") {
        ++running;
        continue;
      }
      others += "; " + text_of(service, "name") + ' ' + text_of(service, "state");
      if (const auto detail = text_of(service, "detail"); !detail.empty()) {
        others += " (" + detail + ')';
      }
    }
    if (text_of(host, "power") != "on") {
      std::printf("%-8s %-26s %s\n", text_of(host, "name").c_str(), address.c_str(),
                  text_of(host, "power").c_str());
      continue;
    }
    if (const int loss = host.value("loss_percent", 0); loss != 0) {
      others += "; loses " + std::to_string(loss) + " % of frames each way";
    }
    if (const int delay = host.value("delay_ms", 0); delay != 0) {
      others += "; delays frames " + std::to_string(delay) + " ms each way";
    }
    std::printf("%-8s %-26s link %-4s %2zu of %2zu services run%s\n", text_of(host, "name").c_str(),
                address.c_str(), text_of(host, "link").c_str(), running, host["services"].size(),
                others.c_str());
  }
}

struct Words {
  std::string name{lab::kDefaultLabName};
  int hosts = 3;
  std::string configuration_path;
  std::string engine{lab::name_of(lab::EngineKind::kNines)};
  std::string services{lab::name_of(lab::ServiceSource::kStandIns)};
  std::string priorities;
  std::string balancer;
  std::string host;
  std::string service;
  std::vector<std::string> command;
  int loss = 0;
  int delay_ms = 0;
  bool json = false;
  bool quiet = false;
};

Result<lab::LabWishes> wishes_of(const Words& words) {
  lab::LabWishes wishes{.name = words.name, .controllers = words.hosts, .self = own_program()};
  // A host's working directory is another; a bare name is looked for in PATH there.
  wishes.balancer = words.balancer;
  if (words.balancer.find('/') != std::string::npos) {
    wishes.balancer = std::filesystem::absolute(words.balancer);
  }
  const auto engine = lab::find_engine_kind(words.engine);
  if (!engine || *engine == lab::EngineKind::kBalancer) {
    return Error(ErrorCode::kInvalid,
                 "an engine is nines, lease, passive or incumbent (keepalived and HAProxy); "
                 "found '" +
                     words.engine + "'");
  }
  wishes.services = TRY(lab::find_services(words.services));
  wishes.engine = words.balancer.empty() ? *engine : lab::EngineKind::kBalancer;
  wishes.cluster_key = TRY(lab_cluster_key());
  wishes.listener_keys = TRY(lab_listener_keys(wishes.cluster_key));
  if (!words.priorities.empty()) {
    if (!words.balancer.empty()) {
      return Error(ErrorCode::kInvalid,
                   "--priorities goes with an engine that moves the address, not with --balancer");
    }
    wishes.priorities = TRY(lab::parse_priorities(words.priorities, words.hosts));
  }
  return wishes;
}

int up(const Words& words) {
  std::string configuration(lab::default_configuration());
  if (!words.configuration_path.empty()) {
    std::ifstream file(words.configuration_path, std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "nines lab up: %s cannot be read\n", words.configuration_path.c_str());
      return kExitFailed;
    }
    configuration.assign(std::istreambuf_iterator<char>(file), {});
  }
  auto wishes = wishes_of(words);
  if (wishes.has_value()) wishes->configuration = std::move(configuration);
  const auto plan =
      wishes.has_value() ? lab::plan_lab(*wishes) : Result<lab::LabPlan>(std::move(wishes).error());
  if (!plan.has_value()) {
    std::fprintf(stderr, "nines lab up: %s\n", plan.error().message().c_str());
    return kExitUsage;
  }
  auto result = lab::bring_lab_up(*plan, [&](std::string_view line) {
    if (words.quiet) return;
    std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
    std::fflush(stdout);
  });
  if (!result.has_value()) {
    std::fprintf(stderr, "nines lab up: %s\n", result.error().message().c_str());
    return kExitFailed;
  }
  if (words.quiet) return 0;
  auto status = ask(words.name, {{"do", "status"}});
  if (!status.has_value()) return fail(status.error());
  std::printf("\n");
  print_whereabouts(*status);
  return 0;
}

int down(const Words& words) {
  auto result = lab::take_lab_down(words.name);
  return result.has_value() ? 0 : fail(result.error());
}

int status(const Words& words) {
  auto control = lab::LabControl::open(words.name);
  if (!control.has_value()) return fail(control.error());
  auto answer = ask(*control, {{"do", "status"}});
  if (!answer.has_value()) return fail(answer.error());
  (*answer)["keeper_pid"] = control->keeper_pid();
  if (words.json) {
    std::printf("%s\n", answer->dump(2).c_str());
    return 0;
  }
  std::printf("lab '%s', kept by process %d\n\n", text_of(*answer, "name").c_str(),
              control->keeper_pid());
  print_hosts(*answer);
  std::printf("\n");
  print_whereabouts(*answer);
  print_forwards(*answer);
  return 0;
}

int run(Words words) {
  if (!words.command.empty() && words.command.front() == "--") {
    words.command.erase(words.command.begin());
  }
  auto control = lab::LabControl::open(words.name);
  if (!control.has_value()) return fail(control.error());
  auto answer = ask(*control, {{"do", "status"}});
  if (!answer.has_value()) return fail(answer.error());
  std::string names;
  for (const auto& host : (*answer)["hosts"]) {
    names += ' ' + text_of(host, "name");
    if (text_of(host, "name") != words.host) continue;
    const auto& numbers = host["namespaces"];
    auto result = lab::run_in_host(*control,
                                   {.network = numbers["network"].get<int>(),
                                    .mount = numbers["mount"].get<int>(),
                                    .host_name = numbers["host_name"].get<int>()},
                                   words.command);
    if (!result.has_value()) return fail(result.error());
    return *result;
  }
  std::fprintf(stderr, "nines lab exec: no host '%s'; there are:%s\n", words.host.c_str(),
               names.c_str());
  return kExitFailed;
}

int operate(const std::string& operation, const Words& words) {
  auto answer =
      ask(words.name, {{"do", operation}, {"host", words.host}, {"service", words.service}});
  if (!answer.has_value()) return fail(answer.error());
  return 0;
}

int lay_line(const Words& words) {
  auto answer = ask(
      words.name,
      {{"do", "line"}, {"host", words.host}, {"loss", words.loss}, {"delay_ms", words.delay_ms}});
  if (!answer.has_value()) return fail(answer.error());
  return 0;
}

// By the host's packet filter, and not the keeper's business.
int swallow(const Words& words, bool on) {
  auto control = lab::LabControl::open(words.name);
  if (!control.has_value()) return fail(control.error());
  auto answer = ask(*control, {{"do", "status"}});
  if (!answer.has_value()) return fail(answer.error());
  for (const auto& host : (*answer)["hosts"]) {
    if (text_of(host, "name") != words.host) continue;
    const auto& numbers = host["namespaces"];
    const auto done = lab::swallow_packets(*control,
                                           {.network = numbers["network"].get<int>(),
                                            .mount = numbers["mount"].get<int>(),
                                            .host_name = numbers["host_name"].get<int>()},
                                           text_of(host, "address"), words.service, on);
    return done.has_value() ? 0 : fail(done.error());
  }
  std::fprintf(stderr, "nines lab: no host '%s'\n", words.host.c_str());
  return kExitFailed;
}

// For tools that want one stand-in without a lab.
int stand_in(const std::string& service, const std::string& address, const std::string& node) {
  const auto* plan = lab::find_stand_in(service);
  auto at = SocketAddress::parse(address);
  if (plan == nullptr || !at.has_value() || !at->is_ip()) {
    std::fprintf(stderr, "nines lab standin: a service of the lab and ADDRESS:PORT are wanted\n");
    return kExitUsage;
  }
  return lab::run_stand_in(*plan, *at, node, lab::ReadySignal(io::Descriptor()));
}

}  // namespace

Result<std::string> lab_cluster_key() {
  std::array<unsigned char, 32> secret{};
  if (::getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) {
    return Error::from_errno(errno, "getrandom");
  }
  std::string text;
  for (const unsigned char each : secret) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[each >> 4];
    text += kDigits[each & 15];
  }
  return text + '\n';
}

Result<std::map<std::string, std::string>> lab_listener_keys(const std::string& cluster_key) {
  const cluster::ClusterKeys keys = TRY(cluster::parse_keys(cluster_key));
  std::map<std::string, std::string> texts;
  for (int number = 1; number <= lab::kComputes; ++number) {
    const std::string name = "comp0" + std::to_string(number);
    texts[name] = cluster::listener_key_text(TRY(cluster::listener_key(keys.front(), name)), name);
  }
  return texts;
}

int lab_command(std::span<char*> arguments) {
  CLI::App app(
      "Several hosts on this machine as namespaces, with stand-ins for a control plane's "
      "services behind the balancer, and faults for them.",
      "nines lab");
  app.require_subcommand(1);
  Words words;
  int exit_status = 0;
  const auto add = [&](const char* name, const char* what, std::function<int()> body) {
    auto* command = app.add_subcommand(name, what);
    command->add_option("--name", words.name, "which lab")->capture_default_str();
    command->callback([&exit_status, body = std::move(body)] { exit_status = body(); });
    return command;
  };

  auto* command =
      add("up", "make a lab and wait until everything answers", [&] { return up(words); });
  command->add_option("--hosts", words.hosts, "controllers, 1 to 9")->capture_default_str();
  command->add_option("--config", words.configuration_path,
                      "a haproxy.cfg; without it the example of OpenStack");
  command
      ->add_option("--engine", words.engine,
                   "what holds the address and balances on each controller: nines, lease (the "
                   "same, by a majority's lease), passive (that one, doing nothing for the clients "
                   "of a dead controller), or incumbent (keepalived and HAProxy)")
      ->capture_default_str();
  command
      ->add_option("--services", words.services,
                   "stand-ins, or real: MariaDB with Galera, RabbitMQ, memcached and keystone "
                   "from Debian's packages, stand-ins for the rest; or openstack: glance, "
                   "placement, nova and neutron as well, and two compute hosts")
      ->capture_default_str();
  command->add_option("--priorities", words.priorities,
                      "of the controllers' VRRP, such as 254,253,252; without it 3,2,1");
  command->add_option("--balancer", words.balancer,
                      "instead of an engine one balancer, such as /usr/sbin/haproxy, on node01, "
                      "which has the address for good");
  command->add_flag("--quiet", words.quiet, "no word unless it fails");

  add("down", "end a lab; nothing of it stays", [&] { return down(words); });
  add("status", "what there is and how it is", [&] {
    return status(words);
  })->add_flag("--json", words.json, "for tools");
  add("reload", "make the balancer read its configuration again",
      [&] { return operate("reload", words); });

  command = add("exec", "run a command inside a host", [&] { return run(words); });
  command->add_option("host", words.host, "node01, ..., client")->required();
  command->add_option("command", words.command, "program and arguments")->required();
  command->positionals_at_end();
  command->prefix_command();

  const auto add_host = [&](const char* name, const char* what) {
    add(name, what, [&, name] { return operate(name, words); })
        ->add_option("host", words.host, "node01, ..., client")
        ->required();
  };
  const auto add_service = [&](const char* name, const char* what) {
    auto* each = add(name, what, [&, name] { return operate(name, words); });
    each->add_option("host", words.host, "node01, ...")->required();
    each->add_option("service", words.service, "keystone, mariadb, balancer, ...")->required();
  };
  add_host("cut", "take a host's network away");
  add_host("isolate", "let a host hear nobody, with its link up");
  add_host("heal", "give it back");
  add_host("mute", "let nobody hear a host, which goes on hearing all; heal ends it");
  add_host("deafen", "let a host hear nobody, whom all go on hearing; heal ends it");
  command = add("line", "make a host's line lose and delay frames; without either smooth again",
                [&] { return lay_line(words); });
  command->add_option("host", words.host, "node01, ..., client")->required();
  command->add_option("--loss", words.loss, "of the frames, percent, in each direction")
      ->check(CLI::Range(0, lab::kLossMax));
  command->add_option("--delay", words.delay_ms, "milliseconds, in each direction")
      ->check(CLI::Range(0, static_cast<int>(milliseconds_of(lab::kLineDelayMax))));
  add_host("crash", "end a controller like a power cut: its link, then every process");
  add_host("boot", "start a crashed controller, and wait until its engine is ready");
  add_host("drop-address", "delete the virtual address from a host by hand");
  add_service("kill", "SIGKILL a service, or of the engine: supervisor, owner, proxy, engine");
  add_service("pause", "SIGSTOP it");
  add_service("resume", "SIGCONT it");
  add_service("start", "start what has ended, and wait until it is ready");
  const auto add_swallow = [&](const char* name, const char* what, bool on) {
    auto* each = add(name, what, [&, on] { return swallow(words, on); });
    each->add_option("host", words.host, "node01, ...")->required();
    each->add_option("service", words.service, "keystone, mariadb, ...")->required();
  };
  add_swallow("swallow", "let packets to a service vanish, those of its connections too", true);
  add_swallow("deliver", "deliver them again", false);
  add_service("stop", "end an engine gracefully, and wait until it has ended");

  std::string stand_in_service, stand_in_address, stand_in_node = "node";
  command = add("standin", "run one stand-in in the foreground",
                [&] { return stand_in(stand_in_service, stand_in_address, stand_in_node); });
  command->group("");  // hidden
  command->add_option("service", stand_in_service)->required();
  command->add_option("address", stand_in_address)->required();
  command->add_option("node", stand_in_node);

  std::vector<std::string> reversed;
  for (std::size_t i = arguments.size(); i > 0; --i) reversed.emplace_back(arguments[i - 1]);
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return exit_status;
}

}  // namespace nines
