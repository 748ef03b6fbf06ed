// The machine of a rolling restart on the driver of a recovery.
#include "galera_restart_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <utility>

#include "galera/recovery_driver.h"
#include "galera_recover_command.h"
#include "galera_setup.h"

namespace nines {

namespace {

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<std::vector<std::string>> order_of(const GaleraSetup& setup,
                                          const GaleraRestartOptions& options) {
  std::vector<std::string> members, order;
  for (const node::GaleraMember& member : setup.config.members) members.push_back(member.name);
  std::vector<std::string> named = options.only;
  if (!options.last.empty()) named.push_back(options.last);
  for (const std::string& name : named) {
    if (!has(members, name)) return Error(ErrorCode::kInvalid, "no member is named " + name);
  }
  for (const std::string& name : members) {
    const bool is_wanted = options.only.empty() || has(options.only, name);
    if (is_wanted && name != options.last) order.push_back(name);
  }
  if (!options.last.empty() && (options.only.empty() || has(options.only, options.last))) {
    order.push_back(options.last);
  }
  return order;
}

}  // namespace

CLI::App* add_galera_restart(CLI::App& app, GaleraRestartOptions& options) {
  CLI::App* const verb = app.add_subcommand(
      "restart", "restart the members' servers one after another, each once all are synced");
  verb->add_option("--only", options.only, "this member; may be said more than once");
  verb->add_option("--last", options.last, "this one after all others: the one that is written to");
  verb->footer(
      "One that is interrupted with a member down is gone on with by 'nines galera recover'. Exit\n"
      "codes: 0 all are synced again, 1 refused or one did not come back, 2 usage, 3 could not be\n"
      "asked.");
  return verb;
}

int galera_restart(const std::string& config_path, const GaleraRestartOptions& options) {
  const auto setup = load_galera_setup(config_path);
  if (!setup) return galera_failed(setup.error());
  const auto order = order_of(*setup, options);
  if (!order) return galera_failed(order.error());
  const auto lock = begin_galera_work(*setup);
  if (!lock) return galera_failed(lock.error());
  const auto earlier = galera::read_record(setup->config.state);
  if (!earlier) return galera_failed(earlier.error());
  if (*earlier) {
    std::fprintf(
        stderr,
        "nines galera restart: %s is under way here: nines galera recover goes on with it\n",
        (*earlier)->run.c_str());
    return kGaleraUnwell;
  }
  galera::RecoveryDriverOptions work;
  work.record.run = new_galera_run(*setup);
  galera::RestartOptions& restart = work.restart.emplace();
  restart.run = work.record.run;
  restart.order = *order;
  for (const node::GaleraMember& member : setup->config.members) {
    restart.members.push_back(member.name);
  }
  return run_galera_work(*setup, std::move(work));
}

}  // namespace nines
