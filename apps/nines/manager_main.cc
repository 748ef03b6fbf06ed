// A look a second, one kept connection to each server, however many ask us. What members say goes
// on to the balancer.
#include "manager_main.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include <cap-ng.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "galera/auto_recovery.h"
#include "galera/claim.h"
#include "galera/metrics.h"
#include "galera/monitor.h"
#include "galera/recovery_driver.h"
#include "galera_view.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "io/log.h"
#include "node/member_word.h"
#include "node/plane_channel.h"
#include "node/plane_process.h"
#include "node/plane_requests.h"

namespace nines {

namespace {

using Json = nlohmann::json;
using node::ChannelMessage;

constexpr int kExitBad = 1;
// The file of metrics is fsynced: not with every look.
constexpr Duration kMetricsEvery = std::chrono::seconds(10);

// Whether a process has the member's data is read from other users' processes; the rest is sockets.
Result<void> drop_privileges() {
  capng_clear(CAPNG_SELECT_BOTH);
  for (const unsigned each : {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH}) {
    capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), each);
  }
  if (capng_apply(CAPNG_SELECT_BOTH) != 0) {
    return Error(ErrorCode::kRefused, "the manager cannot give up its rights");
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Error::from_errno(errno, "prctl(PR_SET_NO_NEW_PRIVS)");
  }
  return {};
}

std::vector<galera::MonitoredMember> watched_in(const GaleraSetup& setup) {
  std::vector<galera::MonitoredMember> members;
  for (const node::GaleraMember& member : setup.config.members) {
    const bool is_here = member.name == setup.config.self;
    members.push_back({member.name, login_of(setup, member), is_here ? setup.config.data : "",
                       is_here ? setup.config.state : ""});
  }
  return members;
}

class ManagerMain final {
 public:
  ManagerMain(const GaleraSetup& setup, io::EpollLoop& loop, io::Log& log)
      : setup_(setup), loop_(loop), log_(log), monitor_(loop, watched_in(setup)) {
    const auto& members = setup.config.members;
    const auto self = std::find_if(members.begin(), members.end(), [&](const auto& member) {
      return member.name == setup.config.self;
    });
    if (setup.config.recovers_by_itself && self != members.end()) {
      automatic_.emplace(static_cast<std::size_t>(self - members.begin()));
    }
  }

  int run() {
    loop_.watch_descriptor(node::kPlaneChannel, EPOLLIN, [this](std::uint32_t) { on_channel(); });
    say({ChannelMessage::Kind::kTaken, "", {}});
    monitor_.watch({.changed = [this](const galera::Monitor::Member& member) { changed(member); },
                    .looked = [this](const galera::Monitor::Member& member) { looked(member); },
                    .late = [this](const galera::Monitor::Member& member) { doubt(member); }});
    loop_.run();
    return 0;
  }

 private:
  void looked(const galera::Monitor::Member& member) {
    ++looks_;
    if (member.health.is_answering()) {
      say_of(member);
    } else {
      doubt(member);
    }
    if (!monitor_.is_complete()) return;
    write_metrics();
    look_for_outage();
  }

  // ---- Recovery by itself ----------------------------------------------------------------------

  void look_for_outage() {
    if (!automatic_) return;
    galera::OutageView view;
    view.is_outage = true;
    for (const auto& member : monitor_.members()) {
      if (member->health.is_doubtful() || galera::may_be_primary(member->health.now()->health)) {
        view.is_outage = false;
      }
    }
    if (const auto record = galera::read_record(setup_.config.state)) {
      view.is_interrupted = *record && (*record)->is_automatic;
    }
    if (auto holder = galera::claim_holder(setup_.config.state)) view.claimed_by = *holder;
    const galera::AutoStep before = automatic_->step();
    const bool begins = automatic_->look(view, loop_.now());
    if (automatic_->step() != before && !automatic_->text(loop_.now()).empty()) {
      log_.write(io::Severity::kWarning, "galera: " + automatic_->text(loop_.now()));
    }
    if (begins) {
      say({ChannelMessage::Kind::kRecover,
           view.is_interrupted ? "one that was interrupted" : "a total outage",
           {}});
    }
  }

  // "0", or another exit code, a blank and what it said.
  void recovered(std::string_view text) {
    if (!automatic_) return;
    const bool is_good = text.substr(0, text.find(' ')) == "0";
    const auto blank = text.find(' ');
    automatic_->ended(is_good, blank == text.npos ? "" : text.substr(blank + 1), loop_.now());
    log_.write(is_good ? io::Severity::kNotice : io::Severity::kCritical,
               is_good ? std::string("galera: the recovery has ended, all members are back")
                       : "galera: the recovery did not bring all back: " + automatic_->words());
  }

  // ---- To the balancer -------------------------------------------------------------------------

  void say_of(const galera::Monitor::Member& member) {
    const galera::WsrepStatus& status = *member.health.status();
    node::MemberWord word{
        node::MemberWord::Kind::kSays, address_of(member), member.asked, "", "", ""};
    if (status.is_on || !status.cluster_status.empty()) {
      word.ready = status.is_ready ? "ON" : "OFF";
      word.local_state = std::to_string(static_cast<int>(status.local_state));
      word.cluster_status = status.cluster_status;
    }
    say({ChannelMessage::Kind::kMember, node::encode(word), {}});
  }

  void doubt(const galera::Monitor::Member& member) {
    const node::MemberWord word{node::MemberWord::Kind::kDoubt, address_of(member), {}, "", "", ""};
    say({ChannelMessage::Kind::kMember, node::encode(word), {}});
  }

  // Where clients reach it: its own host's server is asked another way.
  SocketAddress address_of(const galera::Monitor::Member& member) const {
    for (const node::GaleraMember& each : setup_.config.members) {
      if (each.name == member.name) return each.address;
    }
    return {};
  }

  // ---- What is told and kept -------------------------------------------------------------------

  void changed(const galera::Monitor::Member& member) {
    const galera::HealthEntry& now = *member.health.now();
    const auto& history = member.health.history();
    const std::string before =
        history.empty() ? "" : std::string(galera::name_of(history.back().health)) + " > ";
    log_.write(
        now.health == galera::Health::kSynced ? io::Severity::kNotice : io::Severity::kWarning,
        "galera member " + member.name + ": " + before + std::string(galera::name_of(now.health)) +
            ": " + now.reason);
  }

  std::string metrics() const {
    galera::ClusterMeasures measures;
    for (const auto& member : monitor_.members()) {
      measures.members.push_back({member->name, &member->health});
    }
    measures.arbitrators = static_cast<int>(setup_.config.arbitrators.size());
    measures.looks = looks_;
    return galera::render_metrics(measures, loop_.now());
  }

  void write_metrics() {
    const std::string& path = setup_.config.metrics;
    if (path.empty() || (metrics_at_ != Instant{} && loop_.now() < metrics_at_ + kMetricsEvery)) {
      return;
    }
    metrics_at_ = loop_.now();
    io::LinuxFiles files;
    const auto written = files.replace(path, metrics(), 0644);
    if (!written && !is_metrics_told_) {
      log_.write(io::Severity::kError, "no metrics are written: " + written.error().message());
    }
    is_metrics_told_ = !written.has_value();
  }

  // The first look may still be under way.
  std::string answer(std::string_view request) const {
    const auto error = [](std::string_view what) { return Json({{"error", what}}).dump() + '\n'; };
    if (!monitor_.is_complete()) return error("the manager has not looked at all members yet");
    if (request == "galera metrics") return metrics();
    if (request != "galera status") return error("known requests: galera status, galera metrics");
    Json json = galera_json(monitor_, setup_.config, loop_.now());
    json["looks"] = looks_;
    json["recovery"] = automatic_ ? "automatic" : "by-hand";
    if (automatic_) {
      json["recovery_step"] = galera::name_of(automatic_->step());
      json["recovery_text"] = automatic_->text(loop_.now());
      json["recovery_words"] = automatic_->words();
    }
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  }

  void on_channel() {
    while (true) {
      const auto message = node::receive_message(node::kPlaneChannel);
      if (!message.has_value()) {
        if (message.error().code() != ErrorCode::kUnavailable) loop_.stop();
        return;
      }
      if (message->kind == ChannelMessage::Kind::kAsk) {
        say({ChannelMessage::Kind::kAnswer, "", {}});
      } else if (message->kind == ChannelMessage::Kind::kRequest) {
        reply(message->text);
      } else if (message->kind == ChannelMessage::Kind::kRecovered) {
        recovered(message->text);
      }
    }
  }

  void reply(std::string_view text) {
    const auto reply = [&]() -> Result<ChannelMessage> {
      const auto request = TRY(node::parse_plane_request(text));
      return node::make_plane_reply(request.number, answer(request.text));
    }();
    if (!reply.has_value()) return log_.write(io::Severity::kError, reply.error().message());
    say(*reply);
  }

  // A supervisor that is gone is heard of by the channel's end.
  static void say(const ChannelMessage& message) {
    static_cast<void>(node::send_message(node::kPlaneChannel, message).has_value());
  }

  const GaleraSetup& setup_;
  io::EpollLoop& loop_;
  io::Log& log_;
  galera::Monitor monitor_;
  std::optional<galera::AutoRecovery> automatic_;
  std::uint64_t looks_ = 0;
  Instant metrics_at_{};
  bool is_metrics_told_ = false;
};

}  // namespace

int run_manager_main(const GaleraSetup& setup) {
  auto loop = io::EpollLoop::create();
  if (!loop.has_value()) return kExitBad;
  io::Logger log([&loop] { return (*loop)->wall_time(); });
  const char* const journal = std::getenv("JOURNAL_STREAM");
  log.add(io::open_stderr_or_journal("nines-manager", journal != nullptr ? journal : ""));
  if (const auto dropped = drop_privileges(); !dropped.has_value()) {
    log.write(io::Severity::kCritical, dropped.error().message());
    return kExitBad;
  }
  return ManagerMain(setup, **loop, log).run();
}

}  // namespace nines
