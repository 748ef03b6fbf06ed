// global_defs, and what stands at the top of the file.
#include <algorithm>
#include <array>

#include "vrrp/config_keywords.h"

namespace nines::vrrp {

namespace {

using K = Keyword<ConfigDraft>;
using enum Treatment;

constexpr int kCountMax = 1'000'000;
constexpr Duration kDelayMax = std::chrono::hours(24 * 365);
constexpr std::string_view kMail = "nines sends no mail; use notify scripts";
constexpr std::string_view kLvsOnly = "it concerns virtual servers, which are not served here";
constexpr std::string_view kSnmp = "there is no SNMP here";
constexpr std::string_view kBuffers = "socket buffers are sized by nines itself";
constexpr std::string_view kFifo = "use notify scripts";
constexpr std::string_view kFirewall = "nines makes no packet filter from keepalived.conf";
constexpr std::string_view kProcess = "nines has other processes than keepalived";
constexpr std::string_view kVirtualServer =
    "its whole block is skipped; balance with haproxy.cfg and 'nines proxy', or keep keepalived "
    "for this part";
constexpr std::string_view kStaticNetwork = "configure it with the system's network settings";

// Reads one number or time into where it belongs.
template <std::optional<Duration> AnnouncementsDraft::*Field>
void read_delay(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  if (const auto value = reader.integer(statement, 0, kCountMax)) {
    draft.announcements.*Field = std::chrono::seconds(*value);
  }
}

template <std::optional<int> AnnouncementsDraft::*Field>
void read_repeat(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  if (const auto value = reader.integer(statement, 1, kCountMax)) {
    draft.announcements.*Field = *value;
  }
}

template <bool ConfigDraft::*Field>
void read_flag(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  if (const auto value = reader.boolean(statement)) draft.*Field = *value;
}

template <SocketAddress GlobalDefs::*Field, SocketAddress::Family kFamily>
void read_group(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  const Word* const word = reader.argument(statement);
  if (word == nullptr) return;
  const auto address = reader.address(*word);
  if (!address) return;
  const auto first = static_cast<unsigned char>(address->ip_bytes()[0]);
  const bool multicast =
      kFamily == SocketAddress::Family::kIpv4 ? first >= 224 && first <= 239 : first == 0xff;
  if (address->family() != kFamily || !multicast) {
    reader.error(*word, "this is no multicast address of that family").with_found(word->text);
    return;
  }
  draft.global.*Field = *address;
}

void read_gap(Reader& reader, const Statement& statement, Duration& gap) {
  constexpr Duration kGapMin = std::chrono::microseconds(1);
  constexpr Duration kGapMax = std::chrono::microseconds(4'294'967'295);
  if (const auto value = reader.seconds(statement, kGapMin, kGapMax)) gap = *value;
}

void read_garp_group(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  reader.end(statement, 1);
  AnnouncementGroup group;
  const auto add = [&](const Word& word) {
    for (const AnnouncementGroup& other : draft.global.announcement_groups) {
      if (std::find(other.interfaces.begin(), other.interfaces.end(), word.text) !=
          other.interfaces.end()) {
        reader.error(word, "this interface is in another garp_group already").with_found(word.text);
        return;
      }
    }
    group.interfaces.push_back(word.text);
  };
  for (const Statement& inner : statement.block) {
    const std::string& name = inner.keyword().text;
    if (name == "garp_interval") {
      read_gap(reader, inner, group.gaps.arp);
    } else if (name == "gna_interval") {
      read_gap(reader, inner, group.gaps.neighbour);
    } else if (name == "interface") {
      if (const Word* const word = reader.argument(inner)) add(*word);
    } else if (name == "interfaces") {
      for (const Statement& line : inner.block) {
        for (const Word& word : line.words) add(word);
      }
    } else {
      reader.error(inner.keyword(), "a garp_group knows no such word")
          .with_found(name)
          .with_allowed("garp_interval, gna_interval, interface, interfaces");
    }
  }
  draft.global.announcement_groups.push_back(std::move(group));
}

void read_global_defs(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  reader.end(statement, 1);
  read_block(reader, draft, statement, global_keywords(), "global_defs");
}

void read_script_block(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  if (statement.words.size() < 2 || statement.words[1].text.empty()) {
    reader.error(statement.keyword(), "a vrrp_script has a name");
    return;
  }
  reader.end(statement, 2);
  ScriptDraft script;
  script.name = statement.words[1];
  script.script.name = script.name.text;
  script.script.place = reader.place(script.name);
  for (const ScriptDraft& other : draft.scripts) {
    if (other.script.name == script.script.name) {
      reader.error(script.name, "there is a vrrp_script of this name already")
          .with_found(script.name.text);
      return;
    }
  }
  read_block(reader, script, statement, script_keywords(), "vrrp_script");
  draft.scripts.push_back(std::move(script));
}

void read_instance_block(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  if (statement.words.size() < 2 || statement.words[1].text.empty()) {
    reader.error(statement.keyword(), "a vrrp_instance has a name");
    return;
  }
  reader.end(statement, 2);
  InstanceDraft instance;
  instance.name = statement.words[1];
  instance.instance.name = instance.name.text;
  instance.instance.place = reader.place(instance.name);
  for (const InstanceDraft& other : draft.instances) {
    if (other.instance.name == instance.instance.name) {
      reader.error(instance.name, "there is a vrrp_instance of this name already")
          .with_found(instance.name.text);
      return;
    }
  }
  read_block(reader, instance, statement, instance_keywords(), "vrrp_instance");
  draft.instances.push_back(std::move(instance));
}

void read_sync_group_block(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  if (statement.words.size() < 2 || statement.words[1].text.empty()) {
    reader.error(statement.keyword(), "a vrrp_sync_group has a name");
    return;
  }
  reader.end(statement, 2);
  SyncGroupDraft group;
  group.name = statement.words[1];
  group.group.name = group.name.text;
  group.group.place = reader.place(group.name);
  read_block(reader, group, statement, sync_group_keywords(), "vrrp_sync_group");
  draft.sync_groups.push_back(std::move(group));
}

void read_script_user(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  if (statement.words.size() < 2) {
    reader.error(statement.keyword(), "'script_user' wants a user");
    return;
  }
  draft.global.script_user = statement.words[1].text;
  if (statement.words.size() > 2) draft.global.script_group = statement.words[2].text;
  reader.end(statement, 3);
}

// One announcement in place of five, and no second round.
void read_minimal_announcements(Reader& reader, ConfigDraft& draft, const Statement& statement) {
  const auto minimal = reader.boolean(statement);
  if (!minimal || !*minimal) return;
  draft.announcements.master_repeat = 1;
  draft.announcements.master_delay = Duration{};
}

// A switch that may be off.
template <const std::string_view& kWhy>
void refuse_when_on(Reader& reader, ConfigDraft&, const Statement& statement) {
  const auto on = reader.boolean(statement);
  if (on && *on) {
    reader.error(statement.keyword(), "'" + statement.keyword().text + "' is not supported")
        .with_help(kWhy);
  }
}

template <const std::string_view& kWhy>
void pass_when_on(Reader& reader, ConfigDraft&, const Statement& statement) {
  const auto on = reader.boolean(statement);
  if (on && *on) {
    reader.warning(statement.keyword(), "'" + statement.keyword().text + "' is not used")
        .with_help(kWhy);
  }
}

constexpr std::string_view kStrict =
    "leave it out; strict mode forbids authentication, unicast and service on the address";
constexpr std::string_view kMailSwitch = kMail;
constexpr std::string_view kLastAdvert = "a master that steps down always sends a last advert";
constexpr std::string_view kAlwaysChecked = "the addresses in adverts are always compared";

constexpr K kGlobal[] = {
    {"router_id",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       if (const Word* const word = reader.argument(statement)) draft.global.router_id = word->text;
     }},
    {"script_user", kRead, {}, read_script_user},
    {"enable_script_security",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       draft.global.enable_script_security = true;
     }},
    {"vrrp_version",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       if (const auto version = reader.integer(statement, 2, 3)) {
         draft.global.vrrp_version = *version;
       }
     }},
    {"vrrp_mcast_group4",
     kRead,
     {},
     read_group<&GlobalDefs::multicast_group4, SocketAddress::Family::kIpv4>},
    {"vrrp_mcast_group6",
     kRead,
     {},
     read_group<&GlobalDefs::multicast_group6, SocketAddress::Family::kIpv6>},
    {"vrrp_garp_master_delay", kRead, {}, read_delay<&AnnouncementsDraft::master_delay>},
    {"vrrp_garp_master_repeat", kRead, {}, read_repeat<&AnnouncementsDraft::master_repeat>},
    {"vrrp_garp_master_refresh", kRead, {}, read_delay<&AnnouncementsDraft::master_refresh>},
    {"vrrp_garp_master_refresh_repeat",
     kRead,
     {},
     read_repeat<&AnnouncementsDraft::master_refresh_repeat>},
    {"vrrp_garp_lower_prio_delay",
     kRead,
     {},
     read_delay<&AnnouncementsDraft::lower_priority_delay>},
    {"vrrp_garp_lower_prio_repeat",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       if (const auto value = reader.integer(statement, 0, kCountMax)) {
         draft.announcements.lower_priority_repeat = *value;
       }
     }},
    {"vrrp_garp_interval",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       read_gap(reader, statement, draft.global.announcement_gaps.arp);
     }},
    {"vrrp_gna_interval",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       read_gap(reader, statement, draft.global.announcement_gaps.neighbour);
     }},
    {"vrrp_min_garp", kRead, {}, read_minimal_announcements},
    {"vrrp_down_timer_adverts",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       if (const auto count = reader.integer(statement, 1, 100)) draft.down_timer_adverts = *count;
     }},
    {"vrrp_lower_prio_no_advert", kRead, {}, read_flag<&ConfigDraft::lower_priority_no_advert>},
    {"vrrp_higher_prio_send_advert", kRead, {}, pass_when_on<kLastAdvert>},
    {"vrrp_skip_check_adv_addr", kRead, {}, pass_when_on<kAlwaysChecked>},
    {"vrrp_check_unicast_src", kRead, {}, read_flag<&ConfigDraft::check_unicast_src>},
    {"vrrp_startup_delay",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       if (const auto delay = reader.seconds(statement, Duration{}, kDelayMax)) {
         draft.global.startup_delay = *delay;
       }
     }},
    {"vrrp_priority",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       if (const auto nice = reader.integer(statement, -20, 19)) {
         draft.global.process_priority = *nice;
       }
     }},
    {"vrrp_rt_priority",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       if (const auto priority = reader.integer(statement, 1, 99)) {
         draft.global.rt_priority = *priority;
       }
     }},
    {"vrrp_no_swap",
     kRead,
     {},
     [](Reader& reader, ConfigDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       draft.global.process_no_swap = true;
     }},
    {"vrrp_strict", kRead, {}, refuse_when_on<kStrict>},
    {"notification_email", kHarmless, kMail},
    {"notification_email_from", kHarmless, kMail},
    {"smtp_server", kHarmless, kMail},
    {"smtp_helo_name", kHarmless, kMail},
    {"smtp_connect_timeout", kHarmless, kMail},
    {"smtp_alert", kRead, {}, pass_when_on<kMailSwitch>},
    {"smtp_alert_vrrp", kRead, {}, pass_when_on<kMailSwitch>},
    {"smtp_alert_checker", kRead, {}, pass_when_on<kMailSwitch>},
    {"no_email_faults", kHarmless, kMail},
    {"email_faults", kHarmless, kMail},
    {"default_interface", kHarmless, "it concerns static addresses, which are not set here"},
    {"linkbeat_use_polling", kHarmless, "the kernel tells of every change of a link"},
    {"child_wait_time", kHarmless, kProcess},
    {"process_names", kHarmless, kProcess},
    {"process_name", kHarmless, kProcess},
    {"vrrp_process_name", kHarmless, kProcess},
    {"checker_process_name", kHarmless, kProcess},
    {"bfd_process_name", kHarmless, kProcess},
    {"tmp_config_directory", kHarmless, "the configuration is kept in memory"},
    {"config_save_dir", kHarmless, "nothing is saved at a reload"},
    {"checker_log_all_failures", kHarmless, kLvsOnly},
    {"checker_priority", kHarmless, kLvsOnly},
    {"checker_no_swap", kHarmless, kLvsOnly},
    {"checker_rt_priority", kHarmless, kLvsOnly},
    {"checker_cpu_affinity", kHarmless, kLvsOnly},
    {"checker_rlimit_rttime", kHarmless, kLvsOnly},
    {"checker_rlimit_rtime", kHarmless, kLvsOnly},
    {"no_checker_emails", kHarmless, kLvsOnly},
    {"rs_init_notifies", kHarmless, kLvsOnly},
    {"lvs_sync_daemon", kUnsupported, kLvsOnly},
    {"lvs_timeouts", kHarmless, kLvsOnly},
    {"lvs_flush", kHarmless, kLvsOnly},
    {"lvs_flush_on_stop", kHarmless, kLvsOnly},
    {"lvs_flush_onstop", kHarmless, kLvsOnly},
    {"lvs_netlink_cmd_rcv_bufs", kHarmless, kLvsOnly},
    {"lvs_netlink_cmd_rcv_bufs_force", kHarmless, kLvsOnly},
    {"lvs_netlink_monitor_rcv_bufs", kHarmless, kLvsOnly},
    {"lvs_netlink_monitor_rcv_bufs_force", kHarmless, kLvsOnly},
    {"lvs_notify_fifo", kHarmless, kLvsOnly},
    {"lvs_notify_fifo_script", kHarmless, kLvsOnly},
    {"nftables_ipvs", kHarmless, kLvsOnly},
    {"nftables_ipvs_priority", kHarmless, kLvsOnly},
    {"nftables_ipvs_start_fwmark", kHarmless, kLvsOnly},
    {"net_namespace_ipvs", kHarmless, kLvsOnly},
    {"bfd_priority", kHarmless, "there is no BFD here"},
    {"bfd_no_swap", kHarmless, "there is no BFD here"},
    {"bfd_rt_priority", kHarmless, "there is no BFD here"},
    {"bfd_cpu_affinity", kHarmless, "there is no BFD here"},
    {"bfd_rlimit_rttime", kHarmless, "there is no BFD here"},
    {"bfd_rlimit_rtime", kHarmless, "there is no BFD here"},
    {"vrrp_cpu_affinity", kHarmless, "leave it to the service manager (CPUAffinity=)"},
    {"vrrp_rlimit_rttime", kHarmless, "leave it to the service manager (LimitRTTIME=)"},
    {"vrrp_rlimit_rtime", kHarmless, "leave it to the service manager (LimitRTTIME=)"},
    {"max_auto_priority", kHarmless, "set vrrp_rt_priority"},
    {"min_auto_priority_delay", kHarmless, "set vrrp_rt_priority"},
    {"snmp_socket", kHarmless, kSnmp},
    {"enable_snmp_vrrp", kHarmless, kSnmp},
    {"enable_snmp_keepalived", kHarmless, kSnmp},
    {"enable_snmp_checker", kHarmless, kSnmp},
    {"enable_snmp_rfc", kHarmless, kSnmp},
    {"enable_snmp_rfcv2", kHarmless, kSnmp},
    {"enable_snmp_rfcv3", kHarmless, kSnmp},
    {"enable_traps", kHarmless, kSnmp},
    {"enable_dbus", kHarmless, "there is no D-Bus interface here"},
    {"dbus_service_name", kHarmless, "there is no D-Bus interface here"},
    {"dbus_no_interface_name", kHarmless, "there is no D-Bus interface here"},
    {"vrrp_netlink_cmd_rcv_bufs", kHarmless, kBuffers},
    {"vrrp_netlink_cmd_rcv_bufs_force", kHarmless, kBuffers},
    {"vrrp_netlink_monitor_rcv_bufs", kHarmless, kBuffers},
    {"vrrp_netlink_monitor_rcv_bufs_force", kHarmless, kBuffers},
    {"process_monitor_rcv_bufs", kHarmless, kBuffers},
    {"process_monitor_rcv_bufs_force", kHarmless, kBuffers},
    {"vrrp_rx_bufs_policy", kHarmless, kBuffers},
    {"vrrp_rx_bufs_multiplier", kHarmless, kBuffers},
    {"vrrp_iptables", kHarmless, kFirewall},
    {"vrrp_ipsets", kHarmless, kFirewall},
    {"namespace_with_ipsets", kHarmless, kFirewall},
    {"nftables", kHarmless, kFirewall},
    {"nftables_priority", kHarmless, kFirewall},
    {"nftables_counters", kHarmless, kFirewall},
    {"nftables_ifindex", kHarmless, kFirewall},
    {"disable_local_igmp", kHarmless, "there are no virtual MAC addresses here"},
    {"vmac_prefix", kHarmless, "there are no virtual MAC addresses here"},
    {"vmac_addr_prefix", kHarmless, "there are no virtual MAC addresses here"},
    {"random_seed", kHarmless, "it served keepalived's own tests"},
    {"umask", kHarmless, "leave it to the service manager (UMask=)"},
    {"reload_check_config", kHarmless, "every reload is checked before it is taken"},
    {"reload_repeat", kHarmless, "send SIGHUP again"},
    {"log_unknown_vrids", kHarmless, "foreign packets are counted, and logged once a minute"},
    {"fifo_write_vrrp_states_on_reload", kHarmless, kFifo},
    {"vrrp_notify_priority_changes", kHarmless, "they are told to FIFOs only, and there are none"},
    {"data_use_instance", kHarmless, "dumps go where keepalived puts them by default"},
    {"state_dump_file", kHarmless, "dumps go where keepalived puts them by default"},
    {"stats_dump_file", kHarmless, "dumps go where keepalived puts them by default"},
    {"include_check", kHarmless, "an included file that cannot be read is always an error"},
    {"instance", kHarmless, "name the pid files with -p and -r"},
    {"use_pid_dir", kHarmless, "name the pid files with -p and -r"},
    {"use_symlink_paths", kHarmless, "scripts are run by the path that is written"},
    {"reload_time_file", kUnsupported, "reload with SIGHUP"},
    {"reload_file", kUnsupported, "reload with SIGHUP"},
    {"notify_fifo", kUnsupported, kFifo},
    {"notify_fifo_script", kUnsupported, kFifo},
    {"vrrp_notify_fifo", kUnsupported, kFifo},
    {"vrrp_notify_fifo_script", kUnsupported, kFifo},
    {"startup_script", kUnsupported, "leave it to the service manager (ExecStartPre=)"},
    {"startup_script_timeout", kUnsupported, "leave it to the service manager (ExecStartPre=)"},
    {"shutdown_script", kUnsupported, "leave it to the service manager (ExecStopPost=)"},
    {"shutdown_script_timeout", kUnsupported, "leave it to the service manager (ExecStopPost=)"},
    {"vrrp_garp_extra_if", kUnsupported, "use vrrp_garp_master_refresh"},
    {"dynamic_interfaces", kUnsupported, "interfaces must be there at the start"},
    {"net_namespace", kUnsupported, "start it within the namespace ('ip netns exec NAME ...')"},
};

constexpr K kTop[] = {
    {"global_defs", kRead, {}, read_global_defs, true},
    {"vrrp_script", kRead, {}, read_script_block, true},
    {"vrrp_instance", kRead, {}, read_instance_block, true},
    {"vrrp_sync_group", kRead, {}, read_sync_group_block, true},
    {"net_namespace", kUnsupported, "start it within the namespace ('ip netns exec NAME ...')"},
    {"net_namespace_ipvs", kHarmless, kLvsOnly},
    {"namespace_with_ipsets", kHarmless, kFirewall},
    {"instance", kHarmless, "name the pid files with -p and -r"},
    {"use_pid_dir", kHarmless, "name the pid files with -p and -r"},
    {"linkbeat_use_polling", kHarmless, "the kernel tells of every change of a link"},
    {"linkbeat_interfaces", kHarmless, "the kernel tells of every change of a link"},
    {"child_wait_time", kHarmless, kProcess},
    {"interface_up_down_delays", kUnsupported, "a link that goes down is a fault at once"},
    {"garp_group", kRead, {}, read_garp_group, true},
    {"static_ipaddress", kUnsupported, kStaticNetwork},
    {"static_routes", kUnsupported, kStaticNetwork},
    {"static_rules", kUnsupported, kStaticNetwork},
    {"track_group", kUnsupported, kStaticNetwork},
    {"track_file", kUnsupported, "use a vrrp_script"},
    {"vrrp_track_file", kUnsupported, "use a vrrp_script"},
    {"vrrp_track_process", kUnsupported, "use a vrrp_script, such as \"pidof NAME\""},
    {"bfd_instance", kUnsupported, "use a shorter advert_int with 'version 3'"},
    {"virtual_server", kUnsupported, kVirtualServer},
    {"virtual_server_group", kUnsupported, kVirtualServer},
    {"SSL", kUnsupported, kVirtualServer},
};

constexpr std::string_view kSkipped[] = {
    // LVS: virtual servers, real servers, their checks.
    "BFD_CHECK", "DNS_CHECK", "FILE_CHECK", "HTTP_GET", "MISC_CHECK", "PING_CHECK", "SMTP_CHECK",
    "SSL_GET", "TCP_CHECK", "UDP_CHECK", "alpha", "bind_if", "bind_port", "bindto", "ca",
    "certificate", "connect_ip", "connect_port", "connect_timeout", "delay_before_retry",
    "delay_loop", "digest", "dynamic", "enable_sni", "fast_recovery", "flag-1", "flag-2", "flag-3",
    "fwmark", "ha_suspend", "helo_name", "http_protocol", "hysteresis", "inhibit_on_failure",
    "ip_family", "key", "lb_algo", "lb_kind", "lb_method", "log_all_failures", "lthreshold",
    "lvs_method", "lvs_sched", "max_reply_length", "mh-fallback", "mh-port", "min_reply_length",
    "misc_dynamic", "misc_path", "misc_timeout", "name", "nat_mask", "nb_get_retry", "notify_down",
    "notify_up", "omega", "ops", "password", "path", "payload", "persistence_engine",
    "persistence_granularity", "persistence_timeout", "protocol", "quorum", "quorum_down",
    "quorum_up", "real_server", "regex", "regex_max_offset", "regex_min_offset", "regex_no_match",
    "regex_options", "regex_stack", "require_reply", "retry", "sh-fallback", "sh-port", "snmp_name",
    "sorry_server", "sorry_server_inhibit", "sorry_server_lvs_method", "status_code", "type", "url",
    "uthreshold", "virtualhost", "warmup",
    // BFD, tracked files and processes, groups.
    "delay", "file", "fork_delay", "full_command", "garp_interval", "gna_interval", "hoplimit",
    "idle_tx", "init_file", "interfaces", "max_hops", "min_rx", "min_tx", "multiplier",
    "neighbor_ip", "param_match", "passive", "process", "quorum_max", "source_ip",
    "terminate_delay", "ttl"};

}  // namespace

std::span<const K> top_keywords() { return kTop; }
std::span<const K> global_keywords() { return kGlobal; }
std::span<const std::string_view> keywords_of_skipped_blocks() { return kSkipped; }

}  // namespace nines::vrrp
