// The configuration as a whole: what must agree with what, and defaults that come from elsewhere.
#include <algorithm>
#include <array>

#include "text/suggest.h"
#include "vrrp/config_draft.h"

namespace nines::vrrp {

namespace {

// RFC 5798 section 5.2.7: twelve bits of centiseconds.
constexpr Duration kAdvertIntervalMaxV3 = std::chrono::milliseconds(40'950);
// From here down the skew is three quarters of an interval and more.
constexpr int kPriorityPoor = 64;

std::string milliseconds_text(Duration duration) {
  return std::to_string(milliseconds_of(duration)) + " ms";
}

// RFC 3768 section 6.1: (256 - priority) / 256 seconds; RFC 5798: of the interval.
Duration skew_of(const VrrpInstance& instance, int priority) {
  const Duration whole =
      instance.version == 2 ? Duration(std::chrono::seconds(1)) : instance.advert_int;
  return whole * (256 - priority) / 256;
}

class Finisher {
 public:
  Finisher(Reader& reader, ConfigDraft& draft) : reader_(reader), draft_(draft) {}

  Config run() {
    Config config;
    config.global = draft_.global;
    if (!config.global.multicast_group4.is_ip()) {
      config.global.multicast_group4 = SocketAddress::ipv4({224, 0, 0, 18}, 0);
    }
    if (!config.global.multicast_group6.is_ip()) {
      config.global.multicast_group6 =
          SocketAddress::ipv6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12}, 0);
    }
    for (ScriptDraft& script : draft_.scripts) finish_script(script);
    for (InstanceDraft& instance : draft_.instances) finish_instance(instance);
    for (std::size_t i = 0; i < draft_.instances.size(); ++i) check_router_id_unique(i);
    for (SyncGroupDraft& group : draft_.sync_groups) finish_group(group);
    std::erase_if(draft_.sync_groups,
                  [](const auto& each) { return each.group.instances.empty(); });
    for (ScriptDraft& script : draft_.scripts) config.scripts.push_back(script.script);
    for (InstanceDraft& instance : draft_.instances) config.instances.push_back(instance.instance);
    for (SyncGroupDraft& group : draft_.sync_groups) config.sync_groups.push_back(group.group);
    return config;
  }

 private:
  void finish_script(ScriptDraft& draft) {
    if (draft.script.command.empty()) {
      reader_.error(draft.name, "this vrrp_script has no 'script'").with_found(draft.name.text);
    }
    if (draft.script.timeout > draft.script.interval) {
      reader_
          .warning(draft.name,
                   "the timeout is longer than the interval: a run that hangs delays "
                   "the next one")
          .with_found(draft.name.text);
    }
  }

  void finish_instance(InstanceDraft& draft) {
    VrrpInstance& instance = draft.instance;
    if (instance.virtual_router_id == 0) {
      reader_.error(draft.name, "this instance has no virtual_router_id")
          .with_help("add 'virtual_router_id N', 1 to 255, the same on all its nodes");
    }
    if (!draft.interface && instance.interface.empty()) {
      reader_.error(draft.name, "this instance has no interface").with_help("add 'interface NAME'");
    }
    finish_addresses(draft);
    finish_rules(draft);
    finish_version(draft);
    finish_authentication(draft);
    finish_state(draft);
    finish_peers(draft);
    finish_tracks(draft.track_scripts, draft.track_interfaces, instance.track_scripts,
                  instance.track_interfaces);
    for (const Track& track : instance.track_interfaces) {
      if (track.name != instance.interface || instance.interface.empty()) continue;
      // keepalived says so too, and drops it, whatever its weight.
      for (const TrackDraft& said : draft.track_interfaces) {
        if (said.name.text != track.name) continue;
        reader_.complaint(said.name, "an instance tracks its own interface without being told");
        break;
      }
    }
    std::erase_if(instance.track_interfaces,
                  [&](const Track& track) { return track.name == instance.interface; });
    finish_announcements(draft);
    instance.down_timer_adverts = draft.down_timer_adverts.value_or(draft_.down_timer_adverts);
    instance.lower_priority_no_advert =
        draft.lower_priority_no_advert.value_or(draft_.lower_priority_no_advert);
    instance.check_unicast_src = draft.check_unicast_src.value_or(draft_.check_unicast_src);
    hint_priority(draft);
  }

  void finish_addresses(InstanceDraft& draft) {
    VrrpInstance& instance = draft.instance;
    if (instance.addresses.empty() && draft.addresses.empty()) {
      reader_.error(draft.name, "this instance has no virtual_ipaddress")
          .with_help("add virtual_ipaddress { ADDRESS }");
    }
    if (instance.addresses.size() > kVirtualAddressesMax) {
      reader_.error(draft.addresses[kVirtualAddressesMax], "VRRP carries at most 255 addresses")
          .with_help("put the others into virtual_ipaddress_excluded");
    }
    for (std::size_t i = 1; i < instance.addresses.size(); ++i) {
      if (instance.addresses[i].address.family() != instance.addresses[0].address.family()) {
        reader_.error(draft.addresses[i], "this address is of another family than the first one")
            .with_found(draft.addresses[i].text)
            .with_help("put it into virtual_ipaddress_excluded");
      }
    }
    check_repeated(instance.addresses, draft.addresses);
    check_repeated(instance.excluded_addresses, draft.excluded_addresses);
    instance.ipv6 = !instance.addresses.empty() &&
                    instance.addresses[0].address.family() == SocketAddress::Family::kIpv6;
    if (draft.native_ipv6 && !instance.ipv6) {
      if (instance.addresses.empty()) {
        instance.ipv6 = true;
      } else {
        reader_.error(*draft.native_ipv6, "native_ipv6 with IPv4 addresses");
      }
    }
    for (auto* list : {&instance.addresses, &instance.excluded_addresses}) {
      for (VirtualAddress& address : *list) {
        if (address.device.empty()) address.device = instance.interface;
      }
    }
  }

  void check_repeated(const std::vector<VirtualAddress>& addresses,
                      const std::vector<Word>& words) {
    std::vector<std::pair<SocketAddress, std::size_t>> sorted;
    for (std::size_t i = 0; i < addresses.size(); ++i) sorted.emplace_back(addresses[i].address, i);
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      if (sorted[i].first != sorted[i - 1].first) continue;
      if (addresses[sorted[i].second].device != addresses[sorted[i - 1].second].device) continue;
      reader_.error(words[sorted[i].second], "this address is there already")
          .with_found(words[sorted[i].second].text);
    }
  }

  // A rule without a priority gets one as in keepalived: each family counts down over the whole
  // file.
  void finish_rules(InstanceDraft& draft) {
    for (RuleDraft& each : draft.rules) {
      if (!each.priority_said) {
        const bool ipv6 = each.rule.family == SocketAddress::Family::kIpv6;
        each.rule.priority = ipv6 ? rule_priority6_-- : rule_priority4_--;
        reader_
            .complaint(each.word, "this rule has no priority; it gets " +
                                      std::to_string(each.rule.priority) + ", as in keepalived")
            .with_help("rules are asked in the order of their priorities, the lowest first");
      }
      draft.instance.rules.push_back(std::move(each.rule));
    }
  }

  void finish_version(InstanceDraft& draft) {
    VrrpInstance& instance = draft.instance;
    instance.version = draft.version.value_or(draft_.global.vrrp_version);
    if (instance.ipv6 && instance.version == 2) {
      // RFC 3768 has no IPv6; keepalived goes to version 3 by itself.
      if (draft.version) {
        reader_.warning(draft.name, "VRRP for IPv6 is version 3; version 2 is not taken");
      }
      instance.version = 3;
    }
    if (instance.version == 2 && instance.advert_int % std::chrono::seconds(1) != Duration{}) {
      Duration rounded = instance.advert_int + std::chrono::milliseconds(500);
      rounded -= rounded % std::chrono::seconds(1);
      instance.advert_int = std::max<Duration>(rounded, std::chrono::seconds(1));
      reader_
          .complaint(*draft.advert_int,
                     "VRRP version 2 counts whole seconds; this is rounded to " +
                         std::to_string(instance.advert_int.count() / 1'000'000'000))
          .with_help("'version 3' on all nodes allows hundredths");
    }
    if (instance.version == 3 && instance.advert_int > kAdvertIntervalMaxV3) {
      reader_.error(*draft.advert_int, "VRRP version 3 ends at 40.95 seconds")
          .with_found(draft.advert_int->text);
    }
    if (instance.version == 3 &&
        instance.advert_int % std::chrono::milliseconds(10) != Duration{}) {
      instance.advert_int -= instance.advert_int % std::chrono::milliseconds(10);
      reader_.complaint(*draft.advert_int, "VRRP version 3 counts hundredths; the rest is cut off");
    }
  }

  void finish_authentication(InstanceDraft& draft) {
    VrrpInstance& instance = draft.instance;
    if (draft.auth_pass && !draft.auth_type) {
      reader_.warning(*draft.auth_pass, "without 'auth_type PASS' this password is not used");
      instance.authentication = {};
      return;
    }
    if (instance.authentication.type == AuthType::kNone) {
      instance.authentication = {};
      return;
    }
    if (!draft.auth_pass) {
      reader_.error(*draft.auth_type, "there is no auth_pass for it");
      return;
    }
    if (instance.version == 3) {
      reader_.complaint(*draft.auth_type,
                        "VRRP version 3 has no authentication; the password is not used");
      instance.authentication = {};
      return;
    }
    reader_.warning(*draft.auth_type, "VRRP sends its password in clear to the whole network")
        .with_help("it guards against mistakes, not against attackers");
  }

  void finish_state(InstanceDraft& draft) {
    VrrpInstance& instance = draft.instance;
    if (draft.state && !draft.priority && instance.initial_state == InitialState::kMaster) {
      instance.priority = kPriorityOwner;
      reader_
          .warning(*draft.state,
                   "'state MASTER' without a priority makes this the owner (255), as in keepalived")
          .with_help("say a priority, such as 254 here and 253 on the other node");
    }
    if (draft.nopreempt && instance.priority == kPriorityOwner) {
      reader_.complaint(*draft.nopreempt,
                        "the owner (priority 255) always preempts; nopreempt is not taken");
      instance.nopreempt = false;
    } else if (draft.nopreempt && instance.initial_state == InitialState::kMaster) {
      reader_
          .complaint(*draft.nopreempt,
                     "nopreempt wants 'state BACKUP'; it is not taken, as in keepalived")
          .with_help("with 'state MASTER' a node that returns takes the address back");
      instance.nopreempt = false;
    }
    if (!draft.preempt_delay || instance.preempt_delay == Duration{}) return;
    if (instance.initial_state == InitialState::kMaster) {
      reader_.complaint(*draft.preempt_delay,
                        "preempt_delay wants 'state BACKUP'; it is not taken, as in keepalived");
      instance.preempt_delay = {};
    } else if (instance.nopreempt) {
      reader_.complaint(*draft.preempt_delay, "with nopreempt this delay is not used");
      instance.preempt_delay = {};
    }
  }

  void finish_peers(InstanceDraft& draft) {
    VrrpInstance& instance = draft.instance;
    const auto family = instance.ipv6 ? SocketAddress::Family::kIpv6 : SocketAddress::Family::kIpv4;
    for (const auto& [address, word] : draft.peers) {
      if (address.family() != family) {
        reader_.error(word, "this peer is of another family than the addresses")
            .with_found(word.text);
        continue;
      }
      if (instance.unicast_src && *instance.unicast_src == address) {
        reader_.error(word, "this peer is the instance's own unicast_src_ip").with_found(word.text);
        continue;
      }
      instance.unicast_peers.push_back(address);
    }
    if (instance.unicast_peers.empty() && (draft.peers_said || draft.unicast_src) &&
        draft.peers.empty()) {
      reader_
          .complaint(draft.unicast_src ? *draft.unicast_src : draft.name,
                     "unicast without a peer: multicast is used, as in keepalived")
          .with_help("list the other nodes in unicast_peer");
    }
    if (instance.unicast_src && instance.unicast_src->family() != family) {
      reader_.error(*draft.unicast_src, "this address is of another family than the addresses");
    }
    if (instance.multicast_src && instance.multicast_src->family() != family) {
      reader_.error(*draft.multicast_src, "this address is of another family than the addresses");
    }
  }

  void finish_tracks(const std::vector<TrackDraft>& script_drafts,
                     const std::vector<TrackDraft>& interface_drafts, std::vector<Track>& scripts,
                     std::vector<Track>& interfaces) {
    for (const TrackDraft& said : script_drafts) {
      const ScriptDraft* found = nullptr;
      for (const ScriptDraft& script : draft_.scripts) {
        if (script.script.name == said.name.text) found = &script;
      }
      if (found == nullptr) {
        auto& error = reader_.error(said.name, "there is no vrrp_script of this name")
                          .with_found(said.name.text);
        std::vector<std::string_view> names;
        for (const ScriptDraft& script : draft_.scripts) names.push_back(script.script.name);
        if (const auto near = text::suggest(said.name.text, names)) {
          error.with_help("did you mean '" + std::string(*near) + "'?");
        }
        continue;
      }
      add_track(said, found->script.weight, found->script.weight_reverse, scripts);
    }
    for (const TrackDraft& said : interface_drafts) add_track(said, 0, false, interfaces);
  }

  void add_track(const TrackDraft& said, int weight, bool reverse, std::vector<Track>& out) {
    for (const Track& other : out) {
      if (other.name != said.name.text) continue;
      reader_.complaint(said.name, "this is tracked already; the first one counts")
          .with_found(said.name.text);
      return;
    }
    out.push_back({said.name.text, said.weight.value_or(weight), said.reverse.value_or(reverse),
                   reader_.place(said.name)});
  }

  void finish_announcements(InstanceDraft& draft) {
    const AnnouncementsDraft& own = draft.announcements;
    const AnnouncementsDraft& global = draft_.announcements;
    Announcements out;
    const auto pick = [](const auto& first, const auto& second, const auto& otherwise) {
      return first ? *first : second ? *second : otherwise;
    };
    out.master_delay = pick(own.master_delay, global.master_delay, out.master_delay);
    out.master_repeat = pick(own.master_repeat, global.master_repeat, out.master_repeat);
    out.master_refresh = pick(own.master_refresh, global.master_refresh, out.master_refresh);
    out.master_refresh_repeat =
        pick(own.master_refresh_repeat, global.master_refresh_repeat, out.master_refresh_repeat);
    out.lower_priority_delay =
        pick(own.lower_priority_delay, global.lower_priority_delay, out.master_delay);
    out.lower_priority_repeat =
        pick(own.lower_priority_repeat, global.lower_priority_repeat, out.master_repeat);
    draft.instance.announcements = out;
  }

  // A backup waits its skew beyond the missed advertisements: a low priority fails over late.
  void hint_priority(const InstanceDraft& draft) {
    const VrrpInstance& instance = draft.instance;
    if (!draft.priority || instance.priority > kPriorityPoor) return;
    const Duration now = skew_of(instance, instance.priority);
    const Duration best = skew_of(instance, 253);
    reader_
        .note(*draft.priority, "as a backup this waits " + milliseconds_text(now) +
                                   " longer than the missed advertisements ask for")
        .with_help("priorities 254, 253, 252 in place of 3, 2, 1 keep the order and fail over " +
                   milliseconds_text(now - best) + " sooner");
  }

  void check_router_id_unique(std::size_t index) {
    const InstanceDraft& mine = draft_.instances[index];
    if (mine.instance.virtual_router_id <= 0) return;
    for (std::size_t i = 0; i < index; ++i) {
      const VrrpInstance& other = draft_.instances[i].instance;
      if (other.virtual_router_id != mine.instance.virtual_router_id ||
          other.interface != mine.instance.interface || other.ipv6 != mine.instance.ipv6) {
        continue;
      }
      // With unicast, other peers make it another router (keepalived.conf(5), virtual_router_id).
      if (other.unicast_peers.empty() != mine.instance.unicast_peers.empty()) continue;
      if (!other.unicast_peers.empty() && !share_peer(other, mine.instance)) continue;
      reader_
          .error(mine.name, "instance '" + other.name +
                                "' has the same virtual_router_id on the same interface")
          .with_found(std::to_string(other.virtual_router_id));
      return;
    }
  }

  static bool share_peer(const VrrpInstance& one, const VrrpInstance& two) {
    for (const SocketAddress& peer : one.unicast_peers) {
      if (std::find(two.unicast_peers.begin(), two.unicast_peers.end(), peer) !=
          two.unicast_peers.end()) {
        return true;
      }
    }
    return false;
  }

  void finish_group(SyncGroupDraft& draft) {
    for (const SyncGroupDraft& other : draft_.sync_groups) {
      if (&other == &draft) break;
      if (other.group.name == draft.group.name) {
        reader_.error(draft.name, "there is a vrrp_sync_group of this name already");
        return;
      }
      for (const Word& member : draft.members) {
        if (std::find(other.group.instances.begin(), other.group.instances.end(), member.text) !=
            other.group.instances.end()) {
          reader_.error(member, "this instance is in another sync group already")
              .with_found(member.text);
        }
      }
    }
    for (const Word& member : draft.members) add_member(draft, member);
    if (draft.group.instances.size() < 2) {
      reader_.complaint(draft.name, draft.group.instances.empty()
                                        ? "there is no instance in this group: it does nothing"
                                        : "there is only one instance in this group");
    }
    finish_tracks(draft.track_scripts, draft.track_interfaces, draft.group.track_scripts,
                  draft.group.track_interfaces);
    for (const TrackDraft& said : draft.track_interfaces) {
      const bool own = std::any_of(draft_.instances.begin(), draft_.instances.end(),
                                   [&](const InstanceDraft& each) {
                                     return each.instance.group == draft.group.name &&
                                            each.instance.interface == said.name.text;
                                   });
      if (!own) continue;
      reader_.complaint(said.name, "an instance tracks its own interface without being told");
      std::erase_if(draft.group.track_interfaces,
                    [&](const Track& track) { return track.name == said.name.text; });
    }
  }

  void add_member(SyncGroupDraft& draft, const Word& member) {
    std::vector<std::string>& names = draft.group.instances;
    const auto found =
        std::find_if(draft_.instances.begin(), draft_.instances.end(),
                     [&](const InstanceDraft& each) { return each.instance.name == member.text; });
    if (found == draft_.instances.end()) {
      reader_.error(member, "there is no vrrp_instance of this name").with_found(member.text);
      return;
    }
    if (std::find(names.begin(), names.end(), member.text) != names.end()) {
      reader_.error(member, "this instance is in the group already").with_found(member.text);
      return;
    }
    names.push_back(member.text);
    VrrpInstance& instance = found->instance;
    instance.group = draft.group.name;
    if (draft.group.tracking_weight) return;
    // Priorities that change apart would pull the group to both sides.
    std::erase_if(instance.track_scripts, [&](const Track& track) {
      if (track.weight == 0) return false;
      complain_of_weight(*found, found->track_scripts, track);
      return true;
    });
    for (Track& track : instance.track_interfaces) {
      if (track.weight == 0) continue;
      complain_of_weight(*found, found->track_interfaces, track);
      track.weight = 0;
    }
  }

  void complain_of_weight(const InstanceDraft& draft, const std::vector<TrackDraft>& said,
                          const Track& track) {
    const Word* word = &draft.name;
    for (const TrackDraft& each : said) {
      if (each.name.text == track.name) word = &each.name;
    }
    reader_
        .complaint(*word,
                   "a member of a sync group has no weights of its own, as in keepalived: a "
                   "script is left out, an interface is a fault")
        .with_help("track it in the vrrp_sync_group");
  }

  static constexpr std::uint32_t kRulePriority = 16384;

  Reader& reader_;
  ConfigDraft& draft_;
  std::uint32_t rule_priority4_ = kRulePriority, rule_priority6_ = kRulePriority;
};

}  // namespace

Config finish(Reader& reader, ConfigDraft& draft) { return Finisher(reader, draft).run(); }

}  // namespace nines::vrrp
