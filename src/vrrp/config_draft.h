// The configuration while it is being read: the structs to be, and what only the parser needs to
// know of them. Internal to the parser.
#pragma once

#include <optional>
#include <vector>

#include "vrrp/config_reader.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

// What an instance may say about its announcements; what it does not say comes from global_defs.
struct AnnouncementsDraft {
  std::optional<Duration> master_delay, master_refresh, lower_priority_delay;
  std::optional<int> master_repeat, master_refresh_repeat, lower_priority_repeat;
};

struct TrackDraft {
  Word name;
  std::optional<int> weight;
  std::optional<bool> reverse;
};

struct ScriptDraft {
  VrrpScript script;
  Word name;
};

struct RuleDraft {
  VirtualRule rule;
  Word word;  // its first
  bool priority_said = false;
};

struct InstanceDraft {
  VrrpInstance instance;
  Word name;
  AnnouncementsDraft announcements;
  std::optional<Word> state, priority, advert_int, nopreempt, preempt_delay, auth_type, auth_pass,
      unicast_src, multicast_src, native_ipv6, interface;
  std::optional<int> version;
  std::vector<std::pair<SocketAddress, Word>> peers;
  bool peers_said = false;
  std::vector<Word> addresses, excluded_addresses;  // parallel to the instance's
  std::vector<RuleDraft> rules;
  std::optional<bool> lower_priority_no_advert, check_unicast_src;
  std::optional<int> down_timer_adverts;
  std::vector<TrackDraft> track_scripts, track_interfaces;
};

struct SyncGroupDraft {
  SyncGroup group;
  Word name;
  std::vector<Word> members;
  std::vector<TrackDraft> track_scripts, track_interfaces;
};

struct ConfigDraft {
  GlobalDefs global;
  AnnouncementsDraft announcements;
  bool lower_priority_no_advert = false, check_unicast_src = false;
  int down_timer_adverts = 3;
  std::vector<ScriptDraft> scripts;
  std::vector<InstanceDraft> instances;
  std::vector<SyncGroupDraft> sync_groups;
};

// A line of virtual_ipaddress and its like; complains and gives nothing on a mistake. The device is
// empty when none is said. config_address.cc.
std::optional<VirtualAddress> read_virtual_address(Reader& reader, const Statement& statement);

// "ADDRESS[/LENGTH]"; complains and gives false on a mistake. config_address.cc.
bool read_prefix(Reader& reader, const Word& word, SocketAddress& address, int& length);

// A line of virtual_routes, one of virtual_rules. config_route.cc.
std::optional<VirtualRoute> read_virtual_route(Reader& reader, const Statement& statement);
std::optional<RuleDraft> read_virtual_rule(Reader& reader, const Statement& statement);

// The lines of track_script and track_interface. config_track.cc.
void read_tracks(Reader& reader, const Statement& statement, std::vector<TrackDraft>& out);

// "notify_master" and so on. config_track.cc.
void read_notification(Reader& reader, Notifications& notifications, const Statement& statement);

// Checks that need the whole, and defaults that come from elsewhere. config_finish.cc.
Config finish(Reader& reader, ConfigDraft& draft);

}  // namespace nines::vrrp
