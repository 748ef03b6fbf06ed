// The configuration as lines of facts, those that differ from a default.
#include <string>

#include "vrrp/config_load.h"

namespace nines::vrrp {

namespace {

class Dumper {
 public:
  std::string take() { return std::move(out_); }

  void line(const std::string& text) {
    out_.append(static_cast<std::size_t>(depth_) * 2, ' ');
    out_ += text + "\n";
  }
  void open(const std::string& text) {
    line(text);
    ++depth_;
  }
  void close() { --depth_; }

  void fact(const char* name, const std::string& value) { line(std::string(name) + " " + value); }
  void number(const char* name, int value, int usual) {
    if (value != usual) fact(name, std::to_string(value));
  }
  void flag(const char* name, bool value, bool usual) {
    if (value != usual) fact(name, value ? "yes" : "no");
  }
  void time(const char* name, Duration value, Duration usual) {
    if (value != usual) fact(name, std::to_string(value.count() / 1000) + " us");
  }

  void command(const char* name, const Command& command) {
    if (command.empty()) return;
    std::string text;
    for (const std::string& word : command.words) text += (text.empty() ? "[" : " [") + word + "]";
    if (!command.user.empty()) text += " user " + command.user;
    if (!command.group.empty()) text += " group " + command.group;
    fact(name, text);
  }

  void notifications(const Notifications& notifications) {
    command("notify_master", notifications.master);
    command("notify_backup", notifications.backup);
    command("notify_fault", notifications.fault);
    command("notify_stop", notifications.stop);
    command("notify_deleted", notifications.deleted);
    command("notify_master_rx_lower_pri", notifications.master_rx_lower_priority);
    command("notify", notifications.any);
  }

  void tracks(const char* name, const std::vector<Track>& tracks) {
    for (const Track& track : tracks) {
      std::string text = track.name;
      if (track.weight != 0) text += " weight " + std::to_string(track.weight);
      if (track.reverse) text += " reverse";
      fact(name, text);
    }
  }

  void addresses(const char* name, const std::vector<VirtualAddress>& addresses) {
    for (const VirtualAddress& address : addresses) {
      std::string text = address.address.ip_text() + "/" + std::to_string(address.prefix_length);
      text += " dev " + address.device;
      if (!address.label.empty()) text += " label " + address.label;
      if (address.scope != AddressScope::kGlobal) {
        text += " scope " + std::string(name_of(address.scope));
      }
      if (address.broadcast) text += " brd " + address.broadcast->ip_text();
      if (address.broadcast_computed) text += " brd +";
      if (address.peer) text += " peer " + address.peer->ip_text();
      if (address.no_track) text += " no_track";
      if (address.nodad) text += " nodad";
      if (address.deprecated) text += " deprecated";
      if (address.home) text += " home";
      if (address.noprefixroute) text += " noprefixroute";
      fact(name, text);
    }
  }

  void announcements(const Announcements& a) {
    const Announcements usual;
    time("garp_master_delay", a.master_delay, usual.master_delay);
    number("garp_master_repeat", a.master_repeat, usual.master_repeat);
    time("garp_master_refresh", a.master_refresh, usual.master_refresh);
    number("garp_master_refresh_repeat", a.master_refresh_repeat, usual.master_refresh_repeat);
    time("garp_lower_prio_delay", a.lower_priority_delay, usual.lower_priority_delay);
    number("garp_lower_prio_repeat", a.lower_priority_repeat, usual.lower_priority_repeat);
  }

  void global(const GlobalDefs& g) {
    open("global");
    if (!g.router_id.empty()) fact("router_id", g.router_id);
    if (!g.script_user.empty()) fact("script_user", g.script_user);
    if (!g.script_group.empty()) fact("script_group", g.script_group);
    flag("enable_script_security", g.enable_script_security, false);
    number("vrrp_version", g.vrrp_version, kVersionDefault);
    if (g.multicast_group4.ip_text() != "224.0.0.18") {
      fact("vrrp_mcast_group4", g.multicast_group4.ip_text());
    }
    if (g.multicast_group6.ip_text() != "ff02::12") {
      fact("vrrp_mcast_group6", g.multicast_group6.ip_text());
    }
    time("vrrp_garp_interval", g.announcement_gaps.arp, Duration{});
    time("vrrp_gna_interval", g.announcement_gaps.neighbour, Duration{});
    for (const AnnouncementGroup& group : g.announcement_groups) {
      open("garp_group");
      for (const std::string& name : group.interfaces) fact("interface", name);
      time("garp_interval", group.gaps.arp, Duration{});
      time("gna_interval", group.gaps.neighbour, Duration{});
      close();
    }
    time("vrrp_startup_delay", g.startup_delay, Duration{});
    if (g.process_priority) fact("vrrp_priority", std::to_string(*g.process_priority));
    if (g.rt_priority) fact("vrrp_rt_priority", std::to_string(*g.rt_priority));
    flag("vrrp_no_swap", g.process_no_swap, false);
    close();
  }

  void script(const VrrpScript& s) {
    const VrrpScript usual;
    open("script " + s.name);
    command("command", s.command);
    time("interval", s.interval, usual.interval);
    time("timeout", s.timeout, usual.timeout);
    number("fall", s.fall, usual.fall);
    number("rise", s.rise, usual.rise);
    number("weight", s.weight, usual.weight);
    flag("weight_reverse", s.weight_reverse, false);
    flag("init_fail", s.init_fail, false);
    close();
  }

  void instance(const VrrpInstance& i) {
    const VrrpInstance usual;
    open("instance " + i.name);
    fact("state", std::string(name_of(i.initial_state)));
    fact("interface", i.interface);
    number("virtual_router_id", i.virtual_router_id, 0);
    number("priority", i.priority, 0);
    time("advert_int", i.advert_int, Duration{});
    number("version", i.version, 0);
    flag("ipv6", i.ipv6, false);
    flag("nopreempt", i.nopreempt, false);
    time("preempt_delay", i.preempt_delay, Duration{});
    number("down_timer_adverts", i.down_timer_adverts, usual.down_timer_adverts);
    if (i.authentication.type != AuthType::kNone) {
      fact("authentication", std::string(name_of(i.authentication.type)) + " " +
                                 std::to_string(i.authentication.password.size()) + " characters");
    }
    addresses("address", i.addresses);
    addresses("excluded_address", i.excluded_addresses);
    for (const VirtualRoute& route : i.routes) fact("route", text_of(route));
    for (const VirtualRule& rule : i.rules) fact("rule", text_of(rule));
    if (i.unicast_src) fact("unicast_src_ip", i.unicast_src->ip_text());
    for (const SocketAddress& peer : i.unicast_peers) fact("unicast_peer", peer.ip_text());
    if (i.multicast_src) fact("mcast_src_ip", i.multicast_src->ip_text());
    flag("check_unicast_src", i.check_unicast_src, false);
    tracks("track_script", i.track_scripts);
    tracks("track_interface", i.track_interfaces);
    flag("dont_track_primary", i.dont_track_primary, false);
    announcements(i.announcements);
    flag("accept", i.accept, true);
    flag("lower_prio_no_advert", i.lower_priority_no_advert, false);
    flag("higher_prio_send_advert", i.higher_priority_send_advert, false);
    flag("skip_check_adv_addr", i.skip_check_adv_addr, false);
    notifications(i.notifications);
    close();
  }

  void group(const SyncGroup& g) {
    open("sync_group " + g.name);
    for (const std::string& name : g.instances) fact("instance", name);
    tracks("track_script", g.track_scripts);
    tracks("track_interface", g.track_interfaces);
    flag("tracking_weight", g.tracking_weight, false);
    notifications(g.notifications);
    close();
  }

 private:
  std::string out_;
  int depth_ = 0;
};

}  // namespace

std::string dump(const Config& config) {
  Dumper dumper;
  dumper.global(config.global);
  for (const VrrpScript& script : config.scripts) dumper.script(script);
  for (const VrrpInstance& instance : config.instances) dumper.instance(instance);
  for (const SyncGroup& group : config.sync_groups) dumper.group(group);
  return dumper.take();
}

}  // namespace nines::vrrp
