// vrrp_instance and the authentication in it.
#include "vrrp/config_keywords.h"

namespace nines::vrrp {

namespace {

using K = Keyword<InstanceDraft>;
using enum Treatment;

constexpr int kCountMax = 1'000'000;
constexpr std::string_view kUseScript = "use a vrrp_script and track_script";
constexpr std::string_view kRealInterface = "the address is set on the interface itself";

template <std::optional<Duration> AnnouncementsDraft::*Field>
void read_delay(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  if (const auto value = reader.integer(statement, 0, kCountMax)) {
    draft.announcements.*Field = std::chrono::seconds(*value);
  }
}

template <std::optional<int> AnnouncementsDraft::*Field, int kLeast>
void read_repeat(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  if (const auto value = reader.integer(statement, kLeast, kCountMax)) {
    draft.announcements.*Field = *value;
  }
}

template <std::optional<bool> InstanceDraft::*Field>
void read_flag(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  if (const auto value = reader.boolean(statement)) draft.*Field = *value;
}

template <std::optional<SocketAddress> VrrpInstance::*Field,
          std::optional<Word> InstanceDraft::*Said>
void read_source(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  const Word* const word = reader.argument(statement);
  if (word == nullptr) return;
  if (const auto address = reader.address(*word)) {
    draft.instance.*Field = *address;
    draft.*Said = *word;
  }
}

void read_state(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  const Word* const word = reader.argument(statement);
  if (word == nullptr) return;
  if (word->text == "MASTER") {
    draft.instance.initial_state = InitialState::kMaster;
  } else if (word->text == "BACKUP") {
    draft.instance.initial_state = InitialState::kBackup;
  } else {
    reader.error(*word, "no such state").with_found(word->text).with_allowed("MASTER, BACKUP");
    return;
  }
  draft.state = *word;
}

void read_interface(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  const Word* const word = reader.argument(statement);
  if (word == nullptr) return;
  constexpr std::size_t kInterfaceNameMax = 15;  // IFNAMSIZ without its zero
  if (word->text.empty() || word->text.size() > kInterfaceNameMax) {
    reader.error(*word, "no interface has such a name").with_found(word->text);
    return;
  }
  // keepalived refuses it as well.
  if (word->text == "lo") {
    reader.error(*word, "VRRP does not run on the loopback interface");
    return;
  }
  draft.interface = *word;
  draft.instance.interface = word->text;
}

void read_authentication(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  reader.end(statement, 1);
  read_block(reader, draft, statement, authentication_keywords(), "authentication");
}

void read_auth_type(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  const Word* const word = reader.argument(statement);
  if (word == nullptr) return;
  draft.auth_type = *word;
  if (word->text == "PASS") {
    draft.instance.authentication.type = AuthType::kPass;
  } else if (word->text == "AH") {
    reader.error(*word, "authentication by AH is not supported")
        .with_allowed("PASS")
        .with_help("it promises little more than PASS; protect the network instead");
  } else {
    reader.error(*word, "no such authentication").with_found(word->text).with_allowed("PASS");
  }
}

void read_auth_pass(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  const Word* const word = reader.argument(statement);
  if (word == nullptr) return;
  draft.auth_pass = *word;
  if (word->text.empty()) {
    reader.error(*word, "this password is empty");
    return;
  }
  if (word->text.size() > kAuthDataSize) {
    reader.complaint(*word, "VRRP carries 8 characters of a password; the rest is cut off")
        .with_help("keepalived cuts it too, so both understand one another");
  }
  draft.instance.authentication.password = word->text.substr(0, kAuthDataSize);
}

template <std::vector<VirtualAddress> VrrpInstance::*Field, std::vector<Word> InstanceDraft::*Words>
void read_addresses(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  reader.end(statement, 1);
  for (const Statement& line : statement.block) {
    if (auto address = read_virtual_address(reader, line)) {
      (draft.instance.*Field).push_back(std::move(*address));
      (draft.*Words).push_back(line.keyword());
    }
  }
}

void read_routes(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  reader.end(statement, 1);
  for (const Statement& line : statement.block) {
    if (auto route = read_virtual_route(reader, line)) {
      draft.instance.routes.push_back(std::move(*route));
    }
  }
}

void read_rules(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  reader.end(statement, 1);
  for (const Statement& line : statement.block) {
    if (auto rule = read_virtual_rule(reader, line)) draft.rules.push_back(std::move(*rule));
  }
}

void read_peers(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  reader.end(statement, 1);
  draft.peers_said = true;
  for (const Statement& line : statement.block) {
    if (line.words.size() > 1) {
      reader.error(line.words[1], "this is not supported for a peer")
          .with_found(line.words[1].text)
          .with_help("each address stands in a line of its own, alone");
      continue;
    }
    if (const auto address = reader.address(line.keyword())) {
      draft.peers.emplace_back(*address, line.keyword());
    }
  }
}

void notify(Reader& reader, InstanceDraft& draft, const Statement& statement) {
  read_notification(reader, draft.instance.notifications, statement);
}

// A switch whose effect is there anyway, or does not matter.
template <const std::string_view& kWhy>
void pass_when_on(Reader& reader, InstanceDraft&, const Statement& statement) {
  const auto on = reader.boolean(statement);
  if (on && *on) {
    reader.warning(statement.keyword(), "'" + statement.keyword().text + "' is not used")
        .with_help(kWhy);
  }
}

constexpr std::string_view kLastAdvert = "a master that steps down always sends a last advert";
constexpr std::string_view kAlwaysCompared = "the addresses in adverts are always compared";

constexpr K kInstance[] = {
    {"state", kRead, {}, read_state},
    {"interface", kRead, {}, read_interface},
    {"virtual_router_id",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       if (const auto id = reader.integer(statement, 1, kVirtualRouterIdMax)) {
         draft.instance.virtual_router_id = *id;
       } else {
         draft.instance.virtual_router_id = -1;  // said, wrongly
       }
     }},
    {"priority",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       if (const auto priority = reader.integer(statement, 1, kPriorityOwner)) {
         draft.instance.priority = *priority;
         draft.priority = statement.words[1];
       }
     }},
    {"advert_int",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       if (const auto interval = reader.seconds(statement, std::chrono::milliseconds(10),
                                                std::chrono::seconds(255))) {
         draft.instance.advert_int = *interval;
         draft.advert_int = statement.words[1];
       }
     }},
    {"version",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       draft.version = reader.integer(statement, 2, 3);
     }},
    {"nopreempt",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       draft.instance.nopreempt = true;
       draft.nopreempt = statement.keyword();
     }},
    {"preempt",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       draft.instance.nopreempt = false;
       draft.nopreempt.reset();
     }},
    {"preempt_delay",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       if (const auto delay = reader.seconds(statement, Duration{}, std::chrono::seconds(1000))) {
         draft.instance.preempt_delay = *delay;
         draft.preempt_delay = statement.words[1];
       }
     }},
    {"down_timer_adverts",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       draft.down_timer_adverts = reader.integer(statement, 1, 100);
     }},
    {"authentication", kRead, {}, read_authentication, true},
    {"virtual_ipaddress",
     kRead,
     {},
     read_addresses<&VrrpInstance::addresses, &InstanceDraft::addresses>,
     true},
    {"virtual_ipaddress_excluded",
     kRead,
     {},
     read_addresses<&VrrpInstance::excluded_addresses, &InstanceDraft::excluded_addresses>,
     true},
    {"virtual_routes", kRead, {}, read_routes, true},
    {"virtual_rules", kRead, {}, read_rules, true},
    {"unicast_src_ip",
     kRead,
     {},
     read_source<&VrrpInstance::unicast_src, &InstanceDraft::unicast_src>},
    {"mcast_src_ip",
     kRead,
     {},
     read_source<&VrrpInstance::multicast_src, &InstanceDraft::multicast_src>},
    {"unicast_peer", kRead, {}, read_peers, true},
    {"check_unicast_src", kRead, {}, read_flag<&InstanceDraft::check_unicast_src>},
    {"track_script",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       read_tracks(reader, statement, draft.track_scripts);
     },
     true},
    {"track_interface",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       read_tracks(reader, statement, draft.track_interfaces);
     },
     true},
    {"dont_track_primary",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       draft.instance.dont_track_primary = true;
     }},
    {"garp_master_delay", kRead, {}, read_delay<&AnnouncementsDraft::master_delay>},
    {"garp_master_repeat", kRead, {}, read_repeat<&AnnouncementsDraft::master_repeat, 1>},
    {"garp_master_refresh", kRead, {}, read_delay<&AnnouncementsDraft::master_refresh>},
    {"garp_master_refresh_repeat",
     kRead,
     {},
     read_repeat<&AnnouncementsDraft::master_refresh_repeat, 1>},
    {"garp_lower_prio_delay", kRead, {}, read_delay<&AnnouncementsDraft::lower_priority_delay>},
    {"garp_lower_prio_repeat",
     kRead,
     {},
     read_repeat<&AnnouncementsDraft::lower_priority_repeat, 0>},
    {"lower_prio_no_advert", kRead, {}, read_flag<&InstanceDraft::lower_priority_no_advert>},
    {"higher_prio_send_advert", kRead, {}, pass_when_on<kLastAdvert>},
    {"skip_check_adv_addr", kRead, {}, pass_when_on<kAlwaysCompared>},
    {"accept",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       draft.instance.accept = true;
     }},
    {"strict_mode",
     kRead,
     {},
     [](Reader& reader, InstanceDraft&, const Statement& statement) {
       const auto on = reader.boolean(statement);
       if (on && *on) {
         reader.error(statement.keyword(), "'strict_mode' is not supported")
             .with_help(
                 "leave it out; it forbids authentication, unicast and service on the address");
       }
     }},
    {"native_ipv6",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       draft.native_ipv6 = statement.keyword();
     }},
    {"debug",
     kRead,
     {},
     [](Reader& reader, InstanceDraft& draft, const Statement& statement) {
       // Alone it is level 0, as in keepalived, which does nothing with it either.
       if (statement.words.size() < 2) return;
       if (const auto level = reader.integer(statement, 0, 4)) draft.instance.debug = *level > 0;
     }},
    {"notify_master", kRead, {}, notify},
    {"notify_backup", kRead, {}, notify},
    {"notify_fault", kRead, {}, notify},
    {"notify_stop", kRead, {}, notify},
    {"notify_deleted", kRead, {}, notify},
    {"notify_master_rx_lower_pri", kRead, {}, notify},
    {"notify", kRead, {}, notify},
    {"smtp_alert",
     kRead,
     {},
     [](Reader& reader, InstanceDraft&, const Statement& statement) {
       const auto on = reader.boolean(statement);
       if (on && *on) {
         reader.warning(statement.keyword(), "'smtp_alert' is not used")
             .with_help("nines sends no mail; use notify scripts");
       }
     }},
    {"notify_priority_changes", kHarmless, "they are told to FIFOs only, and there are none"},
    {"linkbeat_use_polling", kHarmless, "the kernel tells of every change of a link"},
    {"kernel_rx_buf_size", kHarmless, "socket buffers are sized by nines itself"},
    {"lvs_sync_daemon_interface", kHarmless, "there are no virtual servers here"},
    {"no_accept", kUnsupported, "packets to the address are always accepted"},
    {"use_vmac", kUnsupported, kRealInterface},
    {"use_vmac_addr", kUnsupported, kRealInterface},
    {"vmac_xmit_base", kUnsupported, kRealInterface},
    {"use_ipvlan", kUnsupported, kRealInterface},
    {"track_file", kUnsupported, kUseScript},
    {"track_process", kUnsupported, kUseScript},
    {"track_bfd", kUnsupported, kUseScript},
    {"track_src_ip", kUnsupported, kUseScript},
    {"mcast_dst_ip", kUnsupported, "use vrrp_mcast_group4 in global_defs"},
    {"unicast_fault_no_peer", kUnsupported, "without peers the configuration is refused anyway"},
    {"unicast_ttl", kUnsupported, "packets are sent with TTL 255, as RFC 3768 wants"},
    {"old_unicast_checksum", kUnsupported, "update the keepalived of the peers (1.3.7 or later)"},
    {"garp_extra_if", kUnsupported, "use garp_master_refresh"},
    {"promote_secondaries", kUnsupported,
     "set the sysctl net.ipv4.conf.INTERFACE.promote_secondaries"},
    {"vrf", kUnsupported, "name the interface"},
};

constexpr K kAuthentication[] = {
    {"auth_type", kRead, {}, read_auth_type},
    {"auth_pass", kRead, {}, read_auth_pass},
};

}  // namespace

std::span<const K> instance_keywords() { return kInstance; }
std::span<const K> authentication_keywords() { return kAuthentication; }

}  // namespace nines::vrrp
