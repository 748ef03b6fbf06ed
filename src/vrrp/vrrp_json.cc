// What is not configured (a script, a list, a password) has no key at all. Switches are a mixture
// of numbers and booleans in keepalived, and so here.
#include "vrrp/vrrp_json.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "text/diagnostics.h"

namespace nines::vrrp {

namespace {

int number_of(State state) {
  switch (state) {
    case State::kInit:
    case State::kStopped:
      return 0;
    case State::kBackup:
      return 1;
    case State::kMaster:
      return 2;
    case State::kFault:
      return 3;
  }
  CHECK(false);
}

// The state that it is on its way to; once it has begun, the one that it is in.
int wanted_number_of(const InstanceReport& report) {
  if (report.status.state != State::kInit) return number_of(report.status.state);
  const bool master = report.instance.initial_state == InitialState::kMaster;
  return number_of(master ? State::kMaster : State::kBackup);
}

double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::uint64_t whole_seconds_of(Duration duration) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

class Writer {
 public:
  void open(char bracket) {
    separate();
    out_ += bracket;
    first_ = true;
  }
  void close(char bracket) {
    out_ += bracket;
    first_ = false;
  }
  void name(std::string_view key) {
    separate();
    append(key);
    out_ += ':';
    first_ = true;
  }
  void string(std::string_view value) {
    separate();
    append(value);
  }
  void member(std::string_view key, std::string_view value) {
    name(key);
    string(value);
  }
  void number(std::string_view key, std::uint64_t value) { literal(key, std::to_string(value)); }
  void boolean(std::string_view key, bool value) { literal(key, value ? "true" : "false"); }
  // `format` takes one double: %g, or %f for microseconds.
  void real(std::string_view key, const char* format, double value) {
    std::array<char, 64> digits{};
    const int size = std::snprintf(digits.data(), digits.size(), format, value);
    CHECK(size > 0 && static_cast<std::size_t>(size) < digits.size());
    literal(key, std::string_view(digits.data(), static_cast<std::size_t>(size)));
  }
  std::string take() { return std::move(out_); }

 private:
  void separate() {
    if (!first_) out_ += ',';
    first_ = false;
  }
  void literal(std::string_view key, std::string_view value) {
    name(key);
    separate();
    out_ += value;
  }
  // keepalived escapes slashes as well.
  void append(std::string_view text) {
    std::string quoted;
    text::append_json_string(quoted, text);
    for (const char c : quoted) {
      if (c == '/') out_ += '\\';
      out_ += c;
    }
  }

  std::string out_;
  bool first_ = true;
};

std::string text_of(const InstanceReport::Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "'" : " '") + word + "'";
  return text;
}

// `set`: it is on its interface.
std::string text_of(const VirtualAddress& address, bool set) {
  const bool ipv6 = address.address.family() == SocketAddress::Family::kIpv6;
  const auto broadcast = broadcast_of(address);
  std::string text = address.address.ip_text();
  if (address.prefix_length != (ipv6 ? 128 : 32)) {
    text += "/" + std::to_string(address.prefix_length);
  }
  if (broadcast) text += " brd " + broadcast->ip_text();
  text += " dev " + address.device;
  text += " scope " + std::string(name_of(ipv6 ? AddressScope::kGlobal : address.scope));
  if (!address.label.empty()) text += " label " + address.label;
  if (address.home) text += " home";
  if (ipv6 && address.nodad) text += " -nodad";
  if (address.noprefixroute) text += " noprefixroute";
  if (address.no_track) text += " no_track";
  if (ipv6) text += address.deprecated ? " deprecated" : " preferred_lft forever";
  if (set) text += " set";
  return text;
}

void append_addresses(Writer& out, std::string_view key,
                      const std::vector<VirtualAddress>& addresses, bool set) {
  if (addresses.empty()) return;
  out.name(key);
  out.open('[');
  for (const VirtualAddress& address : addresses) out.string(text_of(address, set));
  out.close(']');
}

template <typename Line>
void append_routing(Writer& out, std::string_view key, const std::vector<Line>& lines) {
  if (lines.empty()) return;
  out.name(key);
  out.open('[');
  for (const Line& line : lines) out.string(text_of(line));
  out.close(']');
}

void append_script(Writer& out, std::string_view key, const InstanceReport::Words& words) {
  if (!words.empty()) out.member(key, text_of(words));
}

// keepalived leaves out the instance's own interface, which is tracked anyway, and what could
// change the priority of an owner.
void append_tracked(Writer& out, const InstanceReport& report) {
  const VrrpInstance& instance = report.instance;
  std::vector<std::string_view> names;
  for (const Track& track : instance.track_interfaces) {
    const bool idle = instance.priority == kPriorityOwner && track.weight != 0;
    if (track.name != instance.interface && !idle) names.push_back(track.name);
  }
  if (!names.empty()) {
    out.name("track_ifp");
    out.open('[');
    for (const std::string_view name : names) out.string(name);
    out.close(']');
  }
  if (report.tracked_scripts.empty()) return;
  out.name("track_script");
  out.open('[');
  for (const auto& words : report.tracked_scripts) out.string(text_of(words));
  out.close(']');
}

void append_data(Writer& out, const InstanceReport& report) {
  const VrrpInstance& instance = report.instance;
  const VrrpStatus& status = report.status;
  const Announcements& announcements = instance.announcements;
  const auto count = [](int value) { return static_cast<std::uint64_t>(value); };
  out.member("iname", instance.name);
  out.number("dont_track_primary", instance.dont_track_primary ? 1 : 0);
  out.number("skip_check_adv_addr", instance.skip_check_adv_addr ? 1 : 0);
  out.number("strict_mode", instance.strict ? 1 : 0);
  out.member("vmac_ifname", "");  // no virtual MAC address is ever used
  out.member("ifp_ifname", instance.interface);
  out.number("master_priority", count(status.followed_priority));
  out.real("last_transition", "%f", seconds_of(Duration(report.since.nanoseconds_since_epoch)));
  out.real("garp_delay", "%g", seconds_of(announcements.master_delay));
  out.number("garp_refresh", whole_seconds_of(announcements.master_refresh));
  out.number("garp_rep", count(announcements.master_repeat));
  out.number("garp_refresh_rep", count(announcements.master_refresh_repeat));
  out.number("garp_lower_prio_delay", whole_seconds_of(announcements.lower_priority_delay));
  out.number("garp_lower_prio_rep", count(announcements.lower_priority_repeat));
  out.number("lower_prio_no_advert", instance.lower_priority_no_advert ? 1 : 0);
  out.number("higher_prio_send_advert", instance.higher_priority_send_advert ? 1 : 0);
  out.number("vrid", count(instance.virtual_router_id));
  out.number("base_priority", count(instance.priority));
  out.number("effective_priority", count(status.priority));
  out.boolean("vipset", report.holding);
  out.boolean("promote_secondaries", false);  // the configuration cannot ask for it
  out.real("adver_int", "%g", seconds_of(instance.advert_int));
  out.real("master_adver_int", "%g", seconds_of(status.master_interval));
  out.number("accept", instance.accept ? 1 : 0);
  out.boolean("nopreempt", instance.nopreempt);
  out.number("preempt_delay", whole_seconds_of(instance.preempt_delay));
  out.number("state", count(number_of(status.state)));
  out.number("wantstate", count(wanted_number_of(report)));
  out.number("version", count(instance.version));
  out.boolean("smtp_alert", false);  // no mail is ever sent
  out.boolean("notify_deleted", !instance.notifications.deleted.empty());
  append_script(out, "script_backup", report.scripts.backup);
  append_script(out, "script_master", report.scripts.master);
  append_script(out, "script_fault", report.scripts.fault);
  append_script(out, "script_stop", report.scripts.stop);
  append_script(out, "script_deleted", report.scripts.deleted);
  append_script(out, "script", report.scripts.any);
  append_script(out, "script_master_rx_lower_pri", report.scripts.master_rx_lower_priority);
  append_addresses(out, "vips", instance.addresses, report.holding);
  append_addresses(out, "evips", instance.excluded_addresses, report.holding);
  append_routing(out, "vroutes", instance.routes);
  append_routing(out, "vrules", instance.rules);
  append_tracked(out, report);
  const bool password = instance.authentication.type == AuthType::kPass;
  out.number("auth_type", password ? 1 : 0);
  if (password) out.member("auth_data", instance.authentication.password.substr(0, kAuthDataSize));
}

void append_stats(Writer& out, const InstanceReport& report) {
  const VrrpStatus::Counters& counters = report.status.counters;
  const PacketErrors& errors = report.errors;
  out.number("advert_rcvd", counters.adverts_heard);
  out.number("advert_sent", counters.adverts_sent);
  out.number("become_master", counters.became_master);
  out.number("release_master", counters.released_master);
  out.number("packet_len_err", errors.length);
  out.number("advert_interval_err", errors.interval);
  out.number("ip_ttl_err", errors.time_to_live);
  out.number("invalid_type_rcvd", errors.type);
  out.number("addr_list_err", errors.addresses);
  out.number("invalid_authtype", errors.authentication_unknown);
  out.number("authtype_mismatch", errors.authentication_other);
  out.number("auth_failure", errors.password);
  out.number("pri_zero_rcvd", counters.priority_zero_heard);
  out.number("pri_zero_sent", counters.priority_zero_sent);
}

}  // namespace

std::string json_text(std::span<const InstanceReport> reports) {
  Writer out;
  out.open('[');
  for (const InstanceReport& report : reports) {
    out.open('{');
    out.name("data");
    out.open('{');
    append_data(out, report);
    out.close('}');
    out.name("stats");
    out.open('{');
    append_stats(out, report);
    out.close('}');
    out.close('}');
  }
  out.close(']');
  return out.take() + "\n";
}

}  // namespace nines::vrrp
