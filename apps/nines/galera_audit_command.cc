// Asks all servers twice, the write load being what lies between, and shows the judgement.
#include "galera_audit_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "galera/audit.h"
#include "galera/server_client.h"
#include "galera_setup.h"
#include "io/linux/epoll_loop.h"
#include "text/units.h"

namespace nines {

namespace {

using Json = nlohmann::json;

constexpr Duration kAnswerWithin = std::chrono::seconds(3);
constexpr Duration kOverMin = std::chrono::seconds(1);
constexpr Duration kOverMax = std::chrono::hours(1);
constexpr int kGaleraNotAllAsked = 3;

// Two looks at each server, `over` apart.
class Auditor final : private base::Timer {
 public:
  Auditor(io::EpollLoop& loop, const GaleraSetup& setup, Duration over) : loop_(loop), over_(over) {
    for (const node::GaleraMember& member : setup.config.members) {
      members_.push_back(std::make_unique<Asked>(loop, login_of(setup, member)));
      members_.back()->told.name = member.name;
    }
  }

  // Stops the loop when all is heard.
  void begin() { look(); }
  std::vector<galera::AuditedMember> members() const {
    std::vector<galera::AuditedMember> all;
    for (const auto& member : members_) all.push_back(member->told);
    return all;
  }

 private:
  struct Asked {
    Asked(io::EpollLoop& loop, galera::ServerLogin login) : client(loop, std::move(login)) {}
    galera::ServerClient client;
    galera::AuditedMember told;
    galera::ServerCounters first;
    Instant first_at{};
  };

  void look() {
    awaited_ = members_.size();
    for (const auto& member : members_) {
      member->client.ask({std::string(galera::kSettingsQuery), std::string(galera::kCountersQuery)},
                         kAnswerWithin, [this, each = member.get()](galera::ServerAnswer answer) {
                           heard(*each, answer);
                           if (--awaited_ == 0) looked();
                         });
    }
  }

  void heard(Asked& member, const galera::ServerAnswer& answer) {
    galera::AuditedMember& told = member.told;
    if (answer.contact != galera::Look::Contact::kAnswered || answer.error != 0) {
      told.missing = answer.said.empty() ? "it did not answer" : answer.said;
      return;
    }
    galera::ServerCounters counters;
    for (const auto& [name, value] : answer.rows) {
      galera::read_settings_row({name, value}, told.settings, counters);
    }
    told.connections_most = counters.connections_most;
    told.load_since_start = galera::load_since_start(counters);
    if (!is_second_) {
      member.first = counters;
      member.first_at = loop_.now();
    } else if (told.missing.empty()) {
      told.load_measured =
          galera::load_between(member.first, counters, loop_.now() - member.first_at);
    }
  }

  void looked() {
    if (is_second_) {
      loop_.stop();
    } else {
      is_second_ = true;
      loop_.arm(*this, over_);
    }
  }
  void on_timer(Instant) override { look(); }

  io::EpollLoop& loop_;
  const Duration over_;
  std::vector<std::unique_ptr<Asked>> members_;
  std::size_t awaited_ = 0;
  bool is_second_ = false;
};

void print_json(const galera::AuditQuestion& question, const galera::Audit& audit) {
  Json findings = Json::array();
  for (const galera::Finding& finding : audit.findings) {
    findings.push_back({{"verdict", galera::name_of(finding.verdict)},
                        {"setting", finding.setting},
                        {"value", finding.value},
                        {"members", finding.members},
                        {"effect", finding.effect},
                        {"mend", finding.mend}});
  }
  const Json json = {{"good", audit.is_good()},
                     {"all_asked", audit.is_all_asked},
                     {"write_bytes_per_s", audit.load.bytes},
                     {"commits_per_s", audit.load.commits},
                     {"measured_s", std::chrono::duration<double>(question.measured_for).count()},
                     {"findings", std::move(findings)}};
  std::puts(json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

}  // namespace

CLI::App* add_galera_audit(CLI::App& app, GaleraAuditOptions& options) {
  CLI::App* const verb = app.add_subcommand(
      "audit",
      "what the servers' settings lose or cost when something fails, in words and figures");
  verb->add_flag("--json", options.json, "for tools");
  verb->add_option("--over", options.over, "how long to measure what is written, 1s to 1h")
      ->capture_default_str();
  verb->footer(
      "Exit codes: 0 no setting loses commits or time, 1 one does, 2 usage, 3 not all servers "
      "could\n"
      "be asked (what the others say is shown).");
  return verb;
}

int galera_audit(const std::string& config_path, const GaleraAuditOptions& options) {
  const auto over = text::parse_duration(options.over, std::chrono::seconds(1));
  if (!over || *over < kOverMin || *over > kOverMax) {
    std::fprintf(stderr, "nines galera audit: --over takes 1s to 1h, found '%s'\n",
                 options.over.c_str());
    return kGaleraUsage;
  }
  const auto setup = load_galera_setup(config_path);
  if (!setup) return galera_failed(setup.error());
  auto loop = io::EpollLoop::create();
  if (!loop) return galera_failed(loop.error());
  Auditor auditor(**loop, *setup, *over);
  auditor.begin();
  (*loop)->run();
  galera::AuditQuestion question;
  question.members = auditor.members();
  question.arbitrators = static_cast<int>(setup->config.arbitrators.size());
  question.measured_for = *over;
  for (const node::GaleraPool& pool : setup->config.pools) {
    question.pools.push_back({pool.name, pool.connections()});
  }
  const galera::Audit audit = galera::audit_settings(question);
  if (options.json) {
    print_json(question, audit);
  } else {
    std::fputs(galera::render_audit(question, audit).c_str(), stdout);
  }
  if (!audit.is_all_asked) return kGaleraNotAllAsked;
  return audit.is_good() ? kGaleraGood : kGaleraUnwell;
}

}  // namespace nines
