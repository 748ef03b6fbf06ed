// The texts. Numbers of sessions are read from the server's shared state at the moment of the call.
#include "proxy/health_log.h"

namespace nines::proxy {
namespace {

std::string name_of(const Proxy& proxy, const Server& server) {
  return (server.config->backup ? "Backup Server " : "Server ") + proxy.config->name + '/' +
         server.config->name;
}

// What a server says may hold anything: HAProxy writes what is not printable ASCII, the quote and
// angle brackets as <22>.
std::string escape(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '<' && c != '>') {
      out += c;
    } else {
      out += '<';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
      out += '>';
    }
  }
  return out;
}

// These come with a code, which is 0 for a MySQL server that is well.
bool has_code(CheckStatus status) {
  return status == CheckStatus::kLayer7Ok || status == CheckStatus::kLayer7OkConditional ||
         status == CheckStatus::kLayer7Status;
}

std::string reason(const CheckOutcome& outcome) {
  std::string text = ", reason: ";
  text += check_status_description(outcome.status);
  if (has_code(outcome.status)) text += ", code: " + std::to_string(outcome.code);
  if (!outcome.info.empty()) text += ", info: \"" + escape(outcome.info) + '"';
  if (outcome.duration >= Duration{}) {
    text += ", check duration: " + std::to_string(milliseconds_of(outcome.duration)) + "ms";
  }
  return text;
}

std::string why(const Proxy& proxy, HealthCause cause, const CheckOutcome& outcome) {
  if (cause == HealthCause::kOperator) return ", changed from CLI";
  return proxy.config->log_health_checks ? "" : reason(outcome);
}

std::string counts_text(BackendCounts counts, std::string_view what) {
  std::string text = ". " + std::to_string(counts.active) + " active and " +
                     std::to_string(counts.backup) + " backup servers ";
  text += what;
  text += counts.active == 0 && counts.backup > 0 ? ". Running on backup." : ".";
  return text;
}

std::string left_text(const Server& server, BackendCounts left) {
  return counts_text(left, "left") + ' ' + std::to_string(server.state->sessions.value()) +
         " sessions active, " + std::to_string(server.state->queued.value()) +
         " requeued, 0 remaining in queue.";
}

std::string online_text(BackendCounts online) {
  return counts_text(online, "online") + " 0 sessions requeued, 0 total in queue.";
}

}  // namespace

BackendCounts BackendCounts::of(const Proxy& proxy) {
  BackendCounts counts;
  for (const Server& server : proxy.servers) {
    if (server.state->usable()) ++(server.config->backup ? counts.backup : counts.active);
  }
  return counts;
}

std::string_view check_status_description(CheckStatus status) {
  switch (status) {
    case CheckStatus::kUnknown:
      return "Unknown";
    case CheckStatus::kInitialized:
      return "Initializing";
    case CheckStatus::kSocketError:
      return "Socket error";
    case CheckStatus::kLayer4Ok:
      return "Layer4 check passed";
    case CheckStatus::kLayer4Timeout:
      return "Layer4 timeout";
    case CheckStatus::kLayer4Connection:
      return "Layer4 connection problem";
    case CheckStatus::kLayer7Ok:
      return "Layer7 check passed";
    case CheckStatus::kLayer7OkConditional:
      return "Layer7 check conditionally passed";
    case CheckStatus::kLayer7Timeout:
      return "Layer7 timeout";
    case CheckStatus::kLayer7Response:
      return "Layer7 invalid response";
    case CheckStatus::kLayer7Status:
      return "Layer7 wrong status";
  }
  return "Unknown";
}

LogLine describe_server_down(const Proxy& proxy, const Server& server, HealthCause cause,
                             const CheckOutcome& outcome, BackendCounts left) {
  // One that was drained had no new work to lose.
  const LogLevel level = server.state->draining ? LogLevel::kNotice : LogLevel::kAlert;
  return {level, name_of(proxy, server) + " is DOWN" + why(proxy, cause, outcome) +
                     left_text(server, left)};
}

LogLine describe_server_up(const Proxy& proxy, const Server& server, HealthCause cause,
                           const CheckOutcome& outcome, BackendCounts online) {
  return {LogLevel::kNotice,
          name_of(proxy, server) + " is UP" + why(proxy, cause, outcome) + online_text(online)};
}

LogLine describe_check(const Proxy& proxy, const Server& server, const CheckState& state) {
  const ServerConfig& config = *server.config;
  std::string text = "Health check for ";
  text += config.backup ? "backup server " : "server ";
  text += proxy.config->name + '/' + config.name;
  text += state.last.passed() ? " succeeded" : " failed";
  text += reason(state.last);
  const bool up = state.health >= config.rise;
  text += ", status: " + std::to_string(up ? state.health - config.rise + 1 : state.health) + '/' +
          std::to_string(up ? config.fall : config.rise);
  text += !up ? " DOWN." : server.state->weight > 0 ? " UP." : " DRAIN.";
  return {LogLevel::kNotice, std::move(text)};
}

LogLine describe_backend_down(const Proxy& proxy) {
  return {LogLevel::kEmerg, (proxy.config->frontend ? "proxy " : "backend ") + proxy.config->name +
                                " has no server available!"};
}

LogLine describe_enter_maintenance(const Proxy& proxy, const Server& server, bool was_down,
                                   bool was_draining, BackendCounts left) {
  if (was_down) {
    return {LogLevel::kNotice, name_of(proxy, server) + " was DOWN and now enters maintenance."};
  }
  const LogLevel level = was_draining ? LogLevel::kNotice : LogLevel::kAlert;
  return {level,
          name_of(proxy, server) + " is going DOWN for maintenance" + left_text(server, left)};
}

LogLine describe_leave_maintenance(const Proxy& proxy, const Server& server) {
  std::string text = name_of(proxy, server);
  text += server.state->up ? " is UP/" : " is DOWN/";
  text += server.state->draining ? "DRAIN" : "READY";
  return {LogLevel::kNotice, text + " (leaving forced maintenance)."};
}

LogLine describe_enter_drain(const Proxy& proxy, const Server& server, BackendCounts counts) {
  return {LogLevel::kNotice,
          name_of(proxy, server) + " enters drain state" +
              (server.state->up ? online_text(counts) : left_text(server, counts))};
}

LogLine describe_leave_drain(const Proxy& proxy, const Server& server) {
  return {LogLevel::kNotice, name_of(proxy, server) + (server.state->up ? " is UP" : " is DOWN") +
                                 " (leaving forced drain)."};
}

}  // namespace nines::proxy
