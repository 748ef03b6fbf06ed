// The member on this host: its process, its files, what its storage engine recovers, gathered as
// evidence.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "galera/child.h"
#include "galera/evidence.h"
#include "galera/server_client.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/processes.h"

namespace nines::galera {

// The process of a server (mariadbd or mysqld) whose working directory is `data`, however it was
// started and whatever namespaces it is in; a server goes there before it reads anything. Nothing:
// there is none. kNotFound: no such directory. The rights of root are needed to see those of other
// users.
Result<std::optional<int>> find_server(const std::string& data);

// Whether the process has a socket on which clients of this host may come: a server opens it when
// it has joined a component, and keeps it. The rights of root are needed.
Result<bool> takes_clients(int process);

struct LocalMemberOptions {
  std::string name;
  std::string data;
  std::string state;                 // folder of ours
  std::vector<std::string> recover;  // --wsrep-recover is added
  ServerLogin login;
  Duration answer_within = std::chrono::seconds(3);
  // Crash recovery of a large storage engine is in it.
  Duration recover_within = std::chrono::minutes(10);
};

// In the state folder while a server that we started takes the state from others: it is there until
// somebody has seen that member synced. The marks that transfers leave in the data are removed by
// their scripts even when they failed.
inline constexpr std::string_view kJoiningMark = "galera.joining";

// Lives on its loop. One question at a time.
class LocalMember {
 public:
  LocalMember(io::EpollLoop& loop, io::LinuxProcesses& processes, LocalMemberOptions options)
      : processes_(processes),
        loop_(loop),
        options_(std::move(options)),
        client_(loop, options_.login) {}

  // `done` runs once, later. A server that runs is asked; the storage engine of one that does not
  // is recovered by a child, which changes nothing that its next start would not change.
  // Not `is_full`: the storage engine is not asked.
  using Done = std::function<void(Result<Evidence>)>;
  void collect(bool is_full, Done done);

 private:
  void read_files();
  void ask_server();
  void recover();
  void finish_later();
  void finish();

  io::LinuxProcesses& processes_;
  io::EpollLoop& loop_;
  LocalMemberOptions options_;
  ServerClient client_;
  std::unique_ptr<Child> child_;
  Evidence evidence_;
  Done done_;
};

}  // namespace nines::galera
