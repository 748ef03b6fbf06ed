// A proxy without the process around it: holds the listening sockets, keeps a plane at work behind
// them, reloads it, drains it, stops it. `nines proxy` puts a process and HAProxy's signals around
// it, `nines run` its supervisor.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include <sys/types.h>

#include "base/result.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "node/host_share.h"
#include "node/member_word.h"
#include "node/plane_process.h"
#include "proxy/master_config.h"
#include "proxy/plane.h"

namespace nines::proxy {

// What is told of a proxy. Calls come from the loop; none may destroy the master.
class ProxyObserver {
 public:
  virtual ~ProxyObserver() = default;
  virtual void on_proxy_started() = 0;  // the first plane has taken the configuration
  virtual void on_proxy_fit(bool) {}    // see node/plane_watch.h
  virtual void on_reload_begun() {}
  virtual void on_reload_ended(bool) {}  // whether the new configuration runs
  virtual void on_drained() {}           // after drain()
  // The plane has ended, or never began. `good`: it was asked to.
  virtual void on_proxy_ended(bool good) = 0;
};

// Lives on the loop of a process with one thread; loop, log, options and observer outlive it.
// Destroyed, it removes the paths of its Unix listeners.
class ProxyMaster : private node::PlaneSupport {
 public:
  ProxyMaster(io::EpollLoop& loop, io::Log& log, const MasterOptions& options, MasterConfig loaded,
              bool daemon, ProxyObserver& observer);
  ~ProxyMaster() override;
  ProxyMaster(const ProxyMaster&) = delete;
  ProxyMaster& operator=(const ProxyMaster&) = delete;

  // Opens what the configuration listens on; the error names the line that asks for it.
  Result<void> bind_all();
  Result<void> start();
  // Parse, validate, swap: what is bad changes nothing and is logged. One that comes while another
  // is under way is done after it.
  void reload();
  // From now on each answer ends its client's connection; new ones are accepted as before.
  void drain();
  // What was there at drain() and is still there ends now, its peers told so.
  void end_drain();
  // Accepts nothing more and ends with the last session.
  void stop_softly();
  void stop_hard();

  // What the servers of a controller get; a plane that comes after this one is told as well.
  void set_share(const node::HostShare& share);
  // Everybody gets all that is configured.
  void forget_shares();
  // What the manager plane heard from a member of the database: for the plane that serves now.
  void set_member_word(const node::MemberWord& word);
  // Who answers the galera-checks, as HealthObserver::on_verdicts tells it; empty: nobody serves.
  const std::string& verdicts() const { return verdicts_; }

  bool serving() const { return serving_; }
  const node::PlaneProcess& plane() const { return plane_; }
  const MasterConfig& config() const { return loaded_; }

 private:
  struct OwnPath {
    std::string path;
    dev_t device;
    ino_t inode;
  };

  int run_plane() override;
  Result<void> on_plane_started() override;
  void on_plane_message(node::ChannelMessage message) override;
  void on_plane_fit(bool fit) override { observer_.on_proxy_fit(fit); }
  void on_plane_died(bool asked_for) override;

  Result<ListenerSockets> bind(const Config& config, const ListenerSockets& have);
  Result<io::Descriptor> open_socket(const BindConfig& bind, const std::string& key);
  void remove_unused_paths();
  Result<void> send_listeners(const ListenerSockets& sockets);
  Result<void> send_configuration(const MasterConfig& config);
  void on_taken();
  void on_refused(const std::string& reason);
  void forget_reload();
  void reload_if_asked_meanwhile();
  void drop_unused();
  void tell_bad_reload(const std::string& reason);
  void tell_share(const node::HostShare& share);

  io::EpollLoop& loop_;
  io::Log& log_;
  const MasterOptions& options_;
  MasterConfig loaded_;
  const bool daemon_;
  ProxyObserver& observer_;
  ListenerSockets sockets_;
  ListenerSockets predecessors_;          // while binding: what "-sf" lets us take over
  std::map<std::string, OwnPath> paths_;  // of Unix listeners, by listener_key()
  ListenerSockets fresh_;                 // opened for a reload that the plane has not taken yet
  std::optional<MasterConfig> reloading_;
  std::string verdicts_;
  std::map<std::string, node::HostShare> shares_;  // by the first address; all: not in it
  bool reload_again_ = false;
  bool serving_ = false;  // the plane that lives has taken a configuration
  bool ever_taken_ = false;
  bool ending_ = false;
  node::PlaneProcess plane_;
};

}  // namespace nines::proxy
