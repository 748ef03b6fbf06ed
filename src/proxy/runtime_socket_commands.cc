// The table of commands is the whole language: words, the level needed, how it is written, what it
// does. Everything else here is what the table points to.
#include "proxy/runtime_socket_commands.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>

#include "proxy/stats_info.h"
#include "proxy/stats_rows.h"
#include "proxy/stats_text.h"

namespace nines::proxy {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr int kDumpedBytesPerLine = 64;  // of a captured error
constexpr int kUsageColumn = 40;

using Words = std::vector<std::string>;

struct Call {
  const Words& words;
  RuntimeClient& client;
  Control& control;

  // "" past the end, as if the line went on with empty words.
  const std::string& word(std::size_t index) const {
    static const std::string kNone;
    return index < words.size() ? words[index] : kNone;
  }
};

Answer say(std::string text) {
  Answer answer;
  answer.text = std::move(text);
  return answer;
}

Answer say_result(const Result<void>& result) {
  if (result.has_value()) return {};
  std::string text = result.error().message();
  if (!text.ends_with('\n')) text += '\n';
  return say(std::move(text));
}

struct Command {
  std::array<std::string_view, 3> words;  // unused ones are empty
  SocketLevel level;
  std::string_view usage;
  std::string_view description;
  Answer (*run)(const Call&);

  std::size_t size() const {
    return static_cast<std::size_t>(
        std::count_if(words.begin(), words.end(), [](std::string_view w) { return !w.empty(); }));
  }
};

std::string_view level_name(SocketLevel level) {
  switch (level) {
    case SocketLevel::kUser:
      return "user";
    case SocketLevel::kOperator:
      return "operator";
    case SocketLevel::kAdmin:
      return "admin";
  }
  return "user";
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A proxy by its name or, where HAProxy takes one too, its number.
const Proxy* find_side(const Generation& generation, std::string_view name,
                       std::shared_ptr<ProxyState> Proxy::*side) {
  for (const Proxy& proxy : generation.proxies) {
    if (proxy.config->name == name && proxy.*side != nullptr) return &proxy;
  }
  return nullptr;
}

// ---- a server named "backend/server" ----

struct Named {
  std::string proxy, server;
  std::shared_ptr<const Generation> generation;  // keeps `found` alive
  const Server* found = nullptr;
  std::string refusal;  // not empty: say this instead
};

Named find_named(const Call& call, std::size_t index) {
  Named named;
  const std::string& text = call.word(index);
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) {
    named.refusal = "Require 'backend/server'.\n";
    return named;
  }
  named.proxy = text.substr(0, slash);
  named.server = text.substr(slash + 1);
  named.generation = call.control.generation();
  const Proxy* proxy = find_side(*named.generation, named.proxy, &Proxy::backend);
  if (proxy == nullptr) {
    named.refusal = "No such backend.\n";
    return named;
  }
  const auto server =
      std::find_if(proxy->servers.begin(), proxy->servers.end(),
                   [&](const Server& each) { return each.config->name == named.server; });
  if (server == proxy->servers.end()) {
    named.refusal = "No such server.\n";
  } else {
    named.found = &*server;
  }
  return named;
}

Answer set_state(const Call& call, std::size_t index, AdminState state) {
  const Named named = find_named(call, index);
  if (!named.refusal.empty()) return say(named.refusal);
  return say_result(call.control.set_server_state(named.proxy, named.server, state));
}

Answer enable_server(const Call& call) { return set_state(call, 2, AdminState::kReady); }
Answer disable_server(const Call& call) { return set_state(call, 2, AdminState::kMaintenance); }

Answer set_checks(const Call& call, bool enabled) {
  const Named named = find_named(call, 2);
  if (!named.refusal.empty()) return say(named.refusal);
  if (!named.found->config->check) {
    return enabled ? say("Health check was not configured on this server, cannot enable.\n")
                   : Answer{};
  }
  return say_result(call.control.set_server_checks(named.proxy, named.server, enabled));
}

Answer enable_health(const Call& call) { return set_checks(call, true); }
Answer disable_health(const Call& call) { return set_checks(call, false); }

Answer enable_agent(const Call& call) {
  const Named named = find_named(call, 2);
  if (!named.refusal.empty()) return say(named.refusal);
  return say("Agent was not configured on this server, cannot enable.\n");
}

Answer disable_agent(const Call& call) {
  const Named named = find_named(call, 2);
  return say(named.refusal);
}

Answer set_named_weight(const Call& call, const Named& named, const std::string& text) {
  if (text.empty()) return say("Require <weight> or <weight%>.\n");
  std::string_view digits = text;
  const bool relative = digits.ends_with('%');
  if (relative) digits.remove_suffix(1);
  const std::size_t number_size = digits.find_first_not_of("0123456789", digits.starts_with('-'));
  if (digits.empty() || number_size == 0) {
    return say("Empty weight string empty or preceded by garbage\n");
  }
  const auto weight = parse_integer(digits);
  if (!weight.has_value()) return say("Trailing garbage in weight string\n");
  if (relative) {
    if (*weight < 0) return say("Relative weight must be positive.\n");
    const std::int64_t initial = named.found->state->initial_weight.load(kRelaxed);
    // Saturates, as HAProxy has it, instead of refusing what would be more than the highest weight.
    const std::int64_t absolute =
        std::min<std::int64_t>(256, std::min<std::int64_t>(*weight, 100 * 256) * initial / 100);
    return say_result(
        call.control.set_server_weight(named.proxy, named.server, static_cast<int>(absolute)));
  }
  if (*weight < 0 || *weight > 256) {
    return say("Absolute weight can only be between 0 and 256 inclusive.\n");
  }
  return say_result(
      call.control.set_server_weight(named.proxy, named.server, static_cast<int>(*weight)));
}

Answer set_server_health(const Call& call, const Named& named) {
  const std::string& health = call.word(4);
  if (health == "up" || health == "down") {
    return say_result(call.control.set_server_health(named.proxy, named.server, health == "up"));
  }
  if (health == "stopping") {
    return say("'health stopping' is not supported here: use 'set server " + named.proxy + "/" +
               named.server + " state drain'.\n");
  }
  return say("'set server <srv> health' expects 'up', 'stopping', or 'down'.\n");
}

Answer set_server(const Call& call) {
  const Named named = find_named(call, 2);
  if (!named.refusal.empty()) return say(named.refusal);
  const std::string& what = call.word(3);
  if (what == "state") {
    const std::string& state = call.word(4);
    if (state == "ready") return set_state(call, 2, AdminState::kReady);
    if (state == "drain") return set_state(call, 2, AdminState::kDrain);
    if (state == "maint") return set_state(call, 2, AdminState::kMaintenance);
    return say("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n");
  }
  if (what == "weight") return set_named_weight(call, named, call.word(4));
  if (what == "health") return set_server_health(call, named);
  for (const std::string_view known : {"addr", "agent", "agent-addr", "agent-port", "agent-send",
                                       "check-addr", "check-port", "fqdn", "ssl"}) {
    if (what == known) {
      return say("'set server <srv> " + what +
                 "' is not supported: change the configuration and reload.\n");
    }
  }
  return say("usage: set server <backend>/<server> health | state | weight\n");
}

Answer set_weight(const Call& call) {
  const Named named = find_named(call, 2);
  if (!named.refusal.empty()) return say(named.refusal);
  return set_named_weight(call, named, call.word(3));
}

Answer get_weight(const Call& call) {
  const Named named = find_named(call, 2);
  if (!named.refusal.empty()) return say(named.refusal);
  const ServerState& state = *named.found->state;
  return say(std::to_string(state.weight.load(kRelaxed)) + " (initial " +
             std::to_string(state.initial_weight.load(kRelaxed)) + ")\n");
}

Answer shutdown_sessions_server(const Call& call) {
  const Named named = find_named(call, 3);
  if (!named.refusal.empty()) return say(named.refusal);
  return say_result(call.control.shutdown_server_sessions(named.proxy, named.server));
}

// ---- frontends ----

Answer set_frontend_enabled(const Call& call, bool enabled) {
  const std::string& name = call.word(2);
  if (name.empty()) return say("A frontend name is expected.\n");
  const auto generation = call.control.generation();
  const Proxy* proxy = find_side(*generation, name, &Proxy::frontend);
  if (proxy == nullptr) return say("No such frontend.\n");
  if (proxy->frontend->paused.load(kRelaxed) != enabled) {
    return say(enabled ? "All sockets are already enabled.\n"
                       : "All sockets are already disabled.\n");
  }
  return say_result(call.control.set_frontend_enabled(name, enabled));
}

Answer enable_frontend(const Call& call) { return set_frontend_enabled(call, true); }
Answer disable_frontend(const Call& call) { return set_frontend_enabled(call, false); }

Answer set_maxconn_frontend(const Call& call) {
  const std::string& name = call.word(3);
  if (name.empty()) return say("A frontend name is expected.\n");
  const auto generation = call.control.generation();
  if (find_side(*generation, name, &Proxy::frontend) == nullptr) return say("No such frontend.\n");
  const auto value = parse_integer(call.word(4));
  if (!value.has_value()) return say("Integer value expected.\n");
  constexpr std::int64_t kMaxconnMax = 2'000'000'000;
  if (*value < 0 || *value > kMaxconnMax) return say("Value out of range.\n");
  return say_result(call.control.set_frontend_maxconn(name, static_cast<int>(*value)));
}

Answer set_maxconn_other(const Call&) {
  return say("Only 'set maxconn frontend' is supported: change the configuration and reload.\n");
}

Answer shutdown_frontend(const Call& call) {
  const std::string& name = call.word(2);
  if (name.empty()) return say("A frontend name is expected.\n");
  if (find_side(*call.control.generation(), name, &Proxy::frontend) == nullptr) {
    return say("No such frontend.\n");
  }
  return say(
      "'shutdown frontend' is not supported: use 'disable frontend', or take it out of the "
      "configuration and reload.\n");
}

// ---- statistics ----

class StatPieces final : public AnswerPieces {
 public:
  StatPieces(std::shared_ptr<const Generation> generation, StatsFilter filter,
             StatsTextOptions options, int maxconn, Instant now)
      : generation_(std::move(generation)),
        cursor_(*generation_, std::move(filter), maxconn, now),
        options_(options) {}

  bool append_next(std::string& out) override {
    if (!cursor_.next(row_)) {
      append_stats_tail(out, options_);
      return false;
    }
    append_stats_row(out, row_, options_, first_);
    first_ = false;
    return true;
  }

 private:
  std::shared_ptr<const Generation> generation_;  // a reload may replace it meanwhile
  StatsCursor cursor_;
  StatsTextOptions options_;
  StatsRow row_;
  bool first_ = true;
};

bool is_stat_keyword(std::string_view word) {
  return word == "typed" || word == "json" || word == "desc" || word == "up" || word == "no-maint";
}

Answer show_stat(const Call& call) {
  StatsFilter filter;
  StatsTextOptions options;
  auto generation = call.control.generation();
  std::size_t index = 2;
  if (!call.word(4).empty() && !is_stat_keyword(call.word(2))) {
    // Numbers that are none count as 0, as atoi() has it; a proxy may be named.
    const auto proxy = parse_integer(call.word(2)).value_or(0);
    if (proxy != 0) {
      filter.proxy = static_cast<int>(std::clamp<std::int64_t>(proxy, -1, INT32_MAX));
    } else {
      const Proxy* found = generation->find_proxy(call.word(2));
      if (found == nullptr) return say("No such proxy.\n");
      filter.proxy = found->id;
    }
    filter.types = static_cast<unsigned>(parse_integer(call.word(3)).value_or(0));
    filter.server = static_cast<int>(
        std::clamp<std::int64_t>(parse_integer(call.word(4)).value_or(0), -1, INT32_MAX));
    index = 5;
  }
  for (; index < call.words.size(); ++index) {
    const std::string& word = call.words[index];
    if (word == "typed") {
      options.format = StatsFormat::kTyped;
    } else if (word == "json") {
      options.format = StatsFormat::kJson;
    } else if (word == "desc") {
      options.descriptions = true;
    } else if (word == "up") {
      filter.only_up = true;
    } else if (word == "no-maint") {
      filter.no_maintenance = true;
    }
  }
  filter.details = call.client.level >= SocketLevel::kOperator;
  Answer answer;
  append_stats_head(answer.text, options);
  const ProcessInfo process = call.control.process_info();
  answer.pieces = std::make_unique<StatPieces>(std::move(generation), std::move(filter), options,
                                               process.maxconn, call.control.now());
  return answer;
}

Answer show_info(const Call& call) {
  InfoOptions options;
  for (std::size_t i = 2; i < call.words.size(); ++i) {
    if (call.words[i] == "typed") options.format = InfoOptions::Format::kTyped;
    if (call.words[i] == "json") options.format = InfoOptions::Format::kJson;
    if (call.words[i] == "desc") options.descriptions = true;
  }
  Answer answer;
  append_info(answer.text, call.control.process_info(), call.control.now(),
              call.control.wall_time(), options);
  return answer;
}

Answer show_version(const Call& call) { return say(call.control.process_info().version + "\n"); }

Answer clear_counters(const Call& call) {
  const bool all = call.word(2) == "all";
  if (all && call.client.level < SocketLevel::kAdmin) return say("Permission denied\n");
  call.control.clear_counters(all);
  return {};
}

// ---- servers ----

// Walks all servers, or those of one backend, and writes a line for each.
class ServerPieces final : public AnswerPieces {
 public:
  using Line = void (*)(std::string& out, const Proxy& proxy, const Server& server, Instant now);
  ServerPieces(std::shared_ptr<const Generation> generation, const Proxy* only, Line line,
               Instant now)
      : generation_(std::move(generation)), only_(only), line_(line), now_(now) {}

  bool append_next(std::string& out) override {
    if (proxy_ >= generation_->proxies.size()) return false;
    const Proxy& proxy = generation_->proxies[proxy_++];
    if (only_ == nullptr || only_ == &proxy) {
      for (const Server& server : proxy.servers) line_(out, proxy, server, now_);
    }
    return true;
  }

 private:
  std::shared_ptr<const Generation> generation_;  // a reload may replace it meanwhile
  const Proxy* only_;
  Line line_;
  Instant now_;
  std::size_t proxy_ = 0;
};

Answer show_servers(const Call& call, std::string head, ServerPieces::Line line) {
  auto generation = call.control.generation();
  const Proxy* only = nullptr;
  if (const std::string& name = call.word(3); !name.empty()) {
    only = find_side(*generation, name, &Proxy::backend);
    if (only == nullptr) return say("Can't find backend.\n");
  }
  Answer answer = say(std::move(head));
  answer.pieces =
      std::make_unique<ServerPieces>(std::move(generation), only, line, call.control.now());
  return answer;
}

// The numbers that HAProxy 2.6 gives its check results, which server state files hold.
int check_status_number(CheckStatus status) {
  switch (status) {
    case CheckStatus::kUnknown:
      return 0;
    case CheckStatus::kInitialized:
      return 1;
    case CheckStatus::kSocketError:
      return 5;
    case CheckStatus::kLayer4Ok:
      return 6;
    case CheckStatus::kLayer4Timeout:
      return 7;
    case CheckStatus::kLayer4Connection:
      return 8;
    case CheckStatus::kLayer7Timeout:
      return 12;
    case CheckStatus::kLayer7Response:
      return 13;
    case CheckStatus::kLayer7Ok:
      return 15;
    case CheckStatus::kLayer7OkConditional:
      return 16;
    case CheckStatus::kLayer7Status:
      return 17;
  }
  return 0;
}

// 0 unknown, 2 failed, 3 passed, 4 passed under a condition.
int check_result_number(CheckStatus status) {
  switch (status) {
    case CheckStatus::kUnknown:
    case CheckStatus::kInitialized:
      return 0;
    case CheckStatus::kLayer4Ok:
    case CheckStatus::kLayer7Ok:
      return 3;
    case CheckStatus::kLayer7OkConditional:
      return 4;
    default:
      return 2;
  }
}

// Section 9.3, "show servers state": version 1 of the state file's lines.
void append_server_state(std::string& out, const Proxy& proxy, const Server& server, Instant now) {
  const ServerState& state = *server.state;
  const ServerConfig& config = *server.config;
  const bool maintenance = state.maintenance.load(kRelaxed);
  const bool configured_off = state.configured_disabled.load(kRelaxed);
  const bool running = state.up.load(kRelaxed) && !maintenance;
  const int admin =
      (maintenance ? 1 : 0) | (configured_off ? 4 : 0) | (state.draining.load(kRelaxed) ? 8 : 0);
  const CheckStatus status =
      config.check ? state.check_status.load(kRelaxed) : CheckStatus::kInitialized;
  const bool paused = state.checks_paused.load(kRelaxed);
  const int check_state =
      config.check ? 2 | (paused ? 0 : 4) | (maintenance ? 8 : 0) : 0;  // configured, on, held
  const std::int64_t age = std::max<std::int64_t>(
      0, (now.nanoseconds - state.changed_at.load(kRelaxed)) / 1'000'000'000);
  const bool ip = config.address.is_ip();
  out += std::to_string(proxy.id) + ' ' + proxy.config->name + ' ' + std::to_string(server.id) +
         ' ' + config.name + ' ' + (ip ? config.address.ip_text() : "-") + ' ';
  out += std::to_string(running ? 2 : 0) + ' ' + std::to_string(admin) + ' ';
  out += std::to_string(state.weight.load(kRelaxed)) + ' ' +
         std::to_string(state.initial_weight.load(kRelaxed)) + ' ' + std::to_string(age) + ' ';
  const int health = config.check ? state.health.load(kRelaxed) : config.rise;
  out += std::to_string(check_status_number(status)) + ' ' +
         std::to_string(check_result_number(status)) + ' ' + std::to_string(std::max(0, health)) +
         ' ' + std::to_string(check_state) + ' ';
  out += "0 0 0 - ";  // agent, forced ids, name
  out += (ip ? std::to_string(config.address.port()) : "-") + " - 0 ";
  out += std::to_string(config.check_port.value_or(0)) + ' ';
  out += (config.check_address ? config.check_address->ip_text() : "-") + " - 0\n";
}

Answer show_servers_state(const Call& call) {
  return show_servers(
      call,
      "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight "
      "srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health "
      "srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord "
      "srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n",
      append_server_state);
}

void append_server_connections(std::string& out, const Proxy& proxy, const Server& server,
                               Instant) {
  const ServerState& state = *server.state;
  const SocketAddress& address = server.config->address;
  out += proxy.config->name + '/' + server.config->name + ' ' + std::to_string(proxy.id) + '/' +
         std::to_string(server.id) + ' ' + (address.is_ip() ? address.ip_text() : "-") + ' ' +
         (address.is_ip() ? std::to_string(address.port()) : "-") + " - ";
  out += std::to_string(state.sessions.value()) + ' ' + std::to_string(state.sessions.max()) + ' ' +
         std::to_string(state.idle.value()) + '\n';
}

// Not all of HAProxy's columns: its pools are cut in a way that ours are not.
Answer show_servers_conn(const Call& call) {
  return show_servers(call, "# bkname/svname bkid/svid addr port - used_cur used_max idle_cur\n",
                      append_server_connections);
}

Answer show_backend(const Call& call) {
  std::string text = "# name\n";
  for (const Proxy& proxy : call.control.generation()->proxies) {
    if (proxy.backend) text += proxy.config->name + '\n';
  }
  return say(std::move(text));
}

// ---- sessions ----

std::string age_text(Duration age) {
  const std::int64_t seconds =
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(age).count());
  std::string text;
  if (seconds >= 86400) text += std::to_string(seconds / 86400) + 'd';
  if (seconds >= 3600) text += std::to_string(seconds / 3600 % 24) + 'h';
  if (seconds >= 60) text += std::to_string(seconds / 60 % 60) + 'm';
  return text + std::to_string(seconds % 60) + 's';
}

std::string id_text(std::uint64_t id) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(id));
  return text;
}

std::string or_none(const std::string& text, const char* none) {
  return text.empty() ? none : text;
}

void append_session_line(std::string& out, const SessionInfo& session) {
  out += id_text(session.id) + ": proto=" + session.protocol + " src=" + session.source +
         " fe=" + session.frontend + " be=" + or_none(session.backend, "<NONE>") +
         " srv=" + or_none(session.server, "<none>") + " age=" + age_text(session.age) +
         " idle=" + age_text(session.idle) + " calls=" + std::to_string(session.requests) +
         " in=" + std::to_string(session.bytes_in) + " out=" + std::to_string(session.bytes_out) +
         " thread=" + std::to_string(session.worker + 1) + " state=\"" + session.state + "\"\n";
}

void append_session_details(std::string& out, const SessionInfo& session) {
  out += id_text(session.id) + ": proto=" + session.protocol + " source=" + session.source + '\n';
  out += "  frontend=" + session.frontend + '\n';
  out += "  backend=" + or_none(session.backend, "<NONE>") + '\n';
  out += "  server=" + or_none(session.server, "<none>") + '\n';
  out += "  state: " + session.state + '\n';
  out += "  age=" + age_text(session.age) + " idle=" + age_text(session.idle) +
         " thread=" + std::to_string(session.worker + 1) +
         " requests=" + std::to_string(session.requests) +
         " bytes_in=" + std::to_string(session.bytes_in) +
         " bytes_out=" + std::to_string(session.bytes_out) + '\n';
}

std::optional<std::uint64_t> parse_id(std::string_view text) {
  if (!text.starts_with("0x") || text.size() < 3) return std::nullopt;
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), id, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

Answer show_sess(const Call& call) {
  Answer answer;
  const bool all = call.word(2) == "all";
  const auto id = parse_id(call.word(2));
  answer.of_sessions = [all, id](const std::vector<SessionInfo>& sessions) {
    std::string text;
    bool found = false;
    for (const SessionInfo& session : sessions) {
      if (id.has_value() && session.id != *id) continue;
      found = true;
      if (all || id.has_value()) {
        append_session_details(text, session);
      } else {
        append_session_line(text, session);
      }
    }
    if (id.has_value() && !found) text = "Session not found.\n";
    return text;
  };
  return answer;
}

Answer shutdown_session(const Call& call) {
  const auto id = parse_id(call.word(2));
  if (!id.has_value()) return say("Session pointer expected (use 'show sess').\n");
  if (!call.control.shutdown_session(*id).has_value()) {
    return say("No such session (use 'show sess').\n");
  }
  return {};
}

// ---- captured errors ----

// Bytes as people and scripts can read them, each line with its offset; "+" where it goes on.
void append_dump(std::string& out, std::string_view bytes) {
  bool continues = false;
  for (std::size_t at = 0; at < bytes.size();) {
    std::string_view line = bytes.substr(at, kDumpedBytesPerLine);
    if (const std::size_t end = line.find('\n'); end != std::string_view::npos) {
      line = line.substr(0, end + 1);
    }
    char offset[40];
    std::snprintf(offset, sizeof offset, "  %05zu%c ", at, continues ? '+' : ' ');
    out += offset;
    for (const char c : line) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '\r') {
        out += "\\r";
      } else if (c == '\n') {
        out += "\\n";
      } else if (c == '\t') {
        out += "\\t";
      } else if (c == '\\') {
        out += "\\\\";
      } else if (byte < 0x20 || byte >= 0x7f) {
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\x%02X", byte);
        out += escaped;
      } else {
        out += c;
      }
    }
    out += '\n';
    at += line.size();
    continues = !line.ends_with('\n');
  }
}

class ErrorPieces final : public AnswerPieces {
 public:
  struct Wanted {
    std::string proxy;  // empty: all
    bool requests = true, responses = true;
  };
  ErrorPieces(Control& control, Wanted wanted, DateText::UtcOffset utc_offset)
      : control_(control), wanted_(std::move(wanted)), dates_(utc_offset) {}

  // By index into a list that may change meanwhile: it is read anew for each piece.
  bool append_next(std::string& out) override {
    const std::vector<CapturedError>& errors = control_.captured_errors();
    if (next_ >= errors.size()) return false;
    const CapturedError& error = errors[next_++];
    const bool kind = error.response ? wanted_.responses : wanted_.requests;
    const bool proxy =
        wanted_.proxy.empty() || wanted_.proxy == error.proxy || wanted_.proxy == error.other_proxy;
    if (kind && proxy) append(out, error);
    return true;
  }

 private:
  void append(std::string& out, const CapturedError& error) {
    const auto number = [&](const std::string& name) {
      const Proxy* found = control_.generation()->find_proxy(name);
      return found == nullptr ? std::string("-1") : std::to_string(found->id);
    };
    const auto named = [&](std::string_view side, const std::string& name) {
      return std::string(side) + ' ' + or_none(name, "<NONE>") + " (#" + number(name) + ")";
    };
    out += "\n[";
    out += dates_.accurate(error.at);
    out += "] " + named(error.response ? "backend" : "frontend", error.proxy) +
           (error.response ? ": invalid response\n" : ": invalid request\n");
    out += "  " + named(error.response ? "frontend" : "backend", error.other_proxy) + ", server " +
           or_none(error.server, "<NONE>") + ", event #" + std::to_string(error.event) + ", src " +
           error.source + '\n';
    out += "  " + error.reason + ", " + std::to_string(error.bytes.size()) +
           " bytes kept, error at position " + std::to_string(error.position) + ":\n\n";
    append_dump(out, error.bytes);
  }

  Control& control_;
  Wanted wanted_;
  DateText dates_;
  std::size_t next_ = 0;
};

Answer show_errors(const Call& call) {
  ErrorPieces::Wanted wanted;
  std::size_t index = 2;
  const auto is_kind = [](const std::string& word) {
    return word == "request" || word == "response";
  };
  if (const std::string& name = call.word(2); !name.empty() && !is_kind(name)) {
    index = 3;
    const auto generation = call.control.generation();
    const auto id = parse_integer(name);
    const Proxy* found = generation->find_proxy(name);
    for (const Proxy& proxy : generation->proxies) {
      if (found == nullptr && id.has_value() && proxy.id == *id) found = &proxy;
    }
    if (found == nullptr && id != -1) return say("No such proxy.\n");
    if (found != nullptr) wanted.proxy = found->config->name;
  }
  if (call.word(index) == "request") wanted.responses = false;
  if (call.word(index) == "response") wanted.requests = false;
  std::uint64_t events = 0;
  for (const CapturedError& error : call.control.captured_errors()) {
    events = std::max(events, error.event + 1);
  }
  DateText dates(call.client.utc_offset);
  Answer answer = say("Total events captured on [");
  answer.text += dates.accurate(call.control.wall_time());
  answer.text += "] : " + std::to_string(events) + '\n';
  answer.pieces =
      std::make_unique<ErrorPieces>(call.control, std::move(wanted), call.client.utc_offset);
  return answer;
}

// ---- the connection itself ----

Answer show_cli_level(const Call& call) {
  return say(std::string(level_name(call.client.level)) + '\n');
}

Answer show_cli_sockets(const Call& call) {
  std::string text = "# socket lvl processes\n";
  for (const StatsSocketConfig& socket : call.control.generation()->config.global.stats_sockets) {
    const SocketAddress& address = socket.bind.address;
    text += address.family() == SocketAddress::Family::kUnix ? "unix@" : "";
    text += address.text() + ' ' + std::string(level_name(socket.level)) + " all\n";
  }
  return say(std::move(text));
}

Answer lower_level(const Call& call, SocketLevel level) {
  if (call.client.level < level) return say("Permission denied\n");
  call.client.level = level;
  return {};
}

Answer to_operator(const Call& call) { return lower_level(call, SocketLevel::kOperator); }
Answer to_user(const Call& call) { return lower_level(call, SocketLevel::kUser); }

Answer toggle_prompt(const Call& call) {
  call.client.prompt = !call.client.prompt;
  return {};
}

Answer quit(const Call&) {
  Answer answer;
  answer.quit = true;
  return answer;
}

Answer set_timeout(const Call& call) {
  if (call.word(2) != "cli") return say("'set timeout' only supports 'cli'.\n");
  const auto seconds = parse_integer(call.word(3));
  if (!seconds.has_value()) return say("Expects an integer value.\n");
  const std::int64_t max =
      std::chrono::duration_cast<std::chrono::seconds>(kRuntimeTimeoutMax).count();
  if (*seconds < 1 || *seconds > max) {
    return say("Expects a timeout of 1 to " + std::to_string(max) + " seconds.\n");
  }
  call.client.timeout = std::chrono::seconds(*seconds);
  return {};
}

// There are no stick tables; a tool that asks for all of them gets an empty list.
Answer show_table(const Call& call) {
  return call.word(2).empty() ? Answer{} : say("No such table\n");
}

Answer help(const Call& call);

constexpr auto kUser = SocketLevel::kUser;
constexpr auto kOperator = SocketLevel::kOperator;
constexpr auto kAdmin = SocketLevel::kAdmin;

// In alphabetical order; the last three are shown with every list.
constexpr std::array kCommands = {
    Command{{"clear", "counters", ""},
            kOperator,
            "clear counters [all]",
            "begin the highest values anew (all: every counter, needs admin)",
            clear_counters},
    Command{{"disable", "agent", ""},
            kAdmin,
            "disable agent <bk>/<srv>",
            "no effect: there are no agent checks",
            disable_agent},
    Command{{"disable", "frontend", ""},
            kAdmin,
            "disable frontend <frontend>",
            "take no new connections for a while",
            disable_frontend},
    Command{{"disable", "health", ""},
            kAdmin,
            "disable health <bk>/<srv>",
            "stop a server's health checks",
            disable_health},
    Command{{"disable", "server", ""},
            kAdmin,
            "disable server <bk>/<srv>",
            "put a server into maintenance",
            disable_server},
    Command{{"enable", "agent", ""},
            kAdmin,
            "enable agent <bk>/<srv>",
            "refused: there are no agent checks",
            enable_agent},
    Command{{"enable", "frontend", ""},
            kAdmin,
            "enable frontend <frontend>",
            "take new connections again",
            enable_frontend},
    Command{{"enable", "health", ""},
            kAdmin,
            "enable health <bk>/<srv>",
            "go on with a server's health checks",
            enable_health},
    Command{{"enable", "server", ""},
            kAdmin,
            "enable server <bk>/<srv>",
            "take a server out of maintenance",
            enable_server},
    Command{{"get", "weight", ""},
            kUser,
            "get weight <bk>/<srv>",
            "a server's weight now and as configured",
            get_weight},
    Command{{"operator", "", ""}, kUser, "operator", "give up the admin level", to_operator},
    Command{{"set", "maxconn", "frontend"},
            kAdmin,
            "set maxconn frontend <frontend> <n>",
            "limit a frontend's connections (0: as configured)",
            set_maxconn_frontend},
    Command{{"set", "maxconn", "global"},
            kAdmin,
            "set maxconn global <n>",
            "not supported",
            set_maxconn_other},
    Command{{"set", "maxconn", "server"},
            kAdmin,
            "set maxconn server <bk>/<srv> <n>",
            "not supported",
            set_maxconn_other},
    Command{{"set", "server", ""},
            kAdmin,
            "set server <bk>/<srv> [opts]",
            "change a server: state, weight or health",
            set_server},
    Command{{"set", "timeout", ""},
            kUser,
            "set timeout cli <seconds>",
            "how long this connection may be silent",
            set_timeout},
    Command{{"set", "weight", ""},
            kAdmin,
            "set weight <bk>/<srv> <weight>[%]",
            "change a server's weight",
            set_weight},
    Command{{"show", "backend", ""}, kUser, "show backend", "names of the backends", show_backend},
    Command{{"show", "cli", "level"},
            kUser,
            "show cli level",
            "the level of this connection",
            show_cli_level},
    Command{{"show", "cli", "sockets"},
            kUser,
            "show cli sockets",
            "the sockets and their levels",
            show_cli_sockets},
    Command{{"show", "errors", ""},
            kOperator,
            "show errors [<px>] [request|response]",
            "the last invalid request and response of each proxy",
            show_errors},
    Command{{"show", "info", ""},
            kUser,
            "show info [desc|json|typed]*",
            "what the process says of itself",
            show_info},
    Command{{"show", "servers", "conn"},
            kUser,
            "show servers conn [<backend>]",
            "connections to the servers",
            show_servers_conn},
    Command{{"show", "servers", "state"},
            kUser,
            "show servers state [<backend>]",
            "the servers' states, for tools",
            show_servers_state},
    Command{{"show", "sess", ""},
            kOperator,
            "show sess [<id>|all]",
            "the sessions, or one of them",
            show_sess},
    Command{{"show", "stat", ""},
            kUser,
            "show stat [desc|json|no-maint|typed|up]*",
            "counters of each proxy and server",
            show_stat},
    Command{{"show", "table", ""},
            kUser,
            "show table [<table>]",
            "stick tables, of which there are none",
            show_table},
    Command{{"show", "version", ""}, kUser, "show version", "the version that runs", show_version},
    Command{{"shutdown", "frontend", ""},
            kAdmin,
            "shutdown frontend <frontend>",
            "not supported",
            shutdown_frontend},
    Command{{"shutdown", "session", ""},
            kAdmin,
            "shutdown session <id>",
            "end a session",
            shutdown_session},
    Command{{"shutdown", "sessions", "server"},
            kAdmin,
            "shutdown sessions server <bk>/<srv>",
            "end all sessions on a server",
            shutdown_sessions_server},
    Command{{"user", "", ""}, kUser, "user", "give up every level but user", to_user},
    Command{{"help", "", ""}, kUser, "help [<command>]", "this list, or a part of it", help},
    Command{{"prompt", "", ""},
            kUser,
            "prompt",
            "stay connected and prompt, or no longer",
            toggle_prompt},
    Command{{"quit", "", ""}, kUser, "quit", "disconnect", quit},
};
constexpr std::size_t kAlwaysListed = 3;

bool is_always_listed(const Command& command) {
  return &command >= &kCommands[kCommands.size() - kAlwaysListed];
}

void append_usage(std::string& out, const Command& command) {
  out += "  ";
  out += command.usage;
  out.append(kUsageColumn - std::min<std::size_t>(kUsageColumn, command.usage.size()), ' ');
  out += ": ";
  out += command.description;
  out += '\n';
}

// How many of the command's words were typed, from the first on; the last one may be a beginning.
std::size_t words_in_common(const Command& command, const Words& words, std::size_t from) {
  std::size_t common = 0;
  while (common < command.size() && from + common < words.size() &&
         command.words[common] == words[from + common]) {
    ++common;
  }
  return common;
}

// Those that agree with most of what was typed; all when nothing does.
std::string list_commands(const Words& words, std::size_t from, SocketLevel level, bool& matched) {
  std::size_t best = 0;
  for (const Command& command : kCommands) {
    if (command.level <= level) best = std::max(best, words_in_common(command, words, from));
  }
  matched = best > 0;
  std::string text;
  for (const Command& command : kCommands) {
    if (command.level > level) continue;
    if (is_always_listed(command) || words_in_common(command, words, from) == best) {
      append_usage(text, command);
    }
  }
  return text;
}

Answer help(const Call& call) {
  bool matched = false;
  std::string list = list_commands(call.words, 1, call.client.level, matched);
  return say("The following commands are valid at this level:\n" + list);
}

Answer unknown_command(const Call& call) {
  bool matched = false;
  std::string list = list_commands(call.words, 0, call.client.level, matched);
  return say((matched ? "Unknown command, but maybe one of the following ones is a better match:\n"
                      : "Unknown command. Please enter one of the following commands only:\n") +
             list);
}

const Command* find_command(const Words& words) {
  for (const Command& command : kCommands) {
    if (words_in_common(command, words, 0) == command.size()) return &command;
  }
  return nullptr;
}

}  // namespace

Answer run_runtime_command(std::string_view line, RuntimeClient& client, Control& control) {
  const Words words = split_runtime_words(line);
  const Call call{words, client, control};
  if (!words.empty() && words.back() == "<<") {
    // What follows is a payload: taking it for commands would run whatever stands in it.
    Answer refusal = say("No command here takes a payload ('<<').\n");
    refusal.last = true;
    return refusal;
  }
  if (!words.empty() && words[0].starts_with('@')) {
    return say("'" + words[0] +
               "' chooses a process of a master socket: this is none, leave it out.\n");
  }
  const Command* command = find_command(words);
  if (command == nullptr) return unknown_command(call);
  if (client.level < command->level) return say("Permission denied\n");
  return command->run(call);
}

std::vector<std::string_view> split_runtime_commands(std::string_view line) {
  std::vector<std::string_view> commands;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == ';') {
      commands.push_back(line.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  commands.push_back(line.substr(begin));
  return commands;
}

std::vector<std::string> split_runtime_words(std::string_view command) {
  std::vector<std::string> words;
  bool in_word = false;
  for (std::size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      in_word = false;
      continue;
    }
    if (!in_word) {
      if (words.size() == kRuntimeWordsMax) break;
      words.emplace_back();
      in_word = true;
    }
    words.back() += c == '\\' && i + 1 < command.size() ? command[++i] : c;
  }
  return words;
}

}  // namespace nines::proxy
