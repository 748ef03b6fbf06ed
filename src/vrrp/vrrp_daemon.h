// The VRRP process: a service (vrrp_service.h) with signals, a pid file and a log.
//
// SIGTERM and SIGINT end it as planned: it serves on until a successor speaks, for a second or so;
// a second signal ends it at once. Then the addresses are removed and the notify scripts started.
// SIGHUP reloads. SIGUSR1 writes the status to a file; other signals write keepalived's files.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/log.h"
#include "vrrp/vrrp_config.h"
#include "vrrp/vrrp_driver.h"

namespace nines::vrrp {

inline constexpr int kVrrpExitGood = 0;
inline constexpr int kVrrpExitBad = 1;

struct VrrpOptions {
  // Each names this process as long as it runs; a living daemon named in one keeps us from
  // starting.
  std::vector<std::string> pid_files;
  // Called once, when the pid files stand and every signal has its handler. Not when it cannot
  // start: then `failed` gets the reason. Either may be empty.
  std::function<void()> started;
  std::function<void(const std::string& why)> failed;
  std::string dump_file;  // written on SIGUSR1; empty: SIGUSR1 does nothing
  // keepalived's counters and its JSON, and the numbers of the signals that they are written on.
  // 0: no such signal. Each file replaces what is there, and only its owner may read it.
  std::string stats_file;
  std::string json_file;
  int stats_signal = 0;
  int stats_clear_signal = 0;  // the counters as they are, which then begin at 0
  int json_signal = 0;
  // Reads the configuration again; nothing when it is bad, which changes nothing. Empty: SIGHUP is
  // refused with a line in the log.
  std::function<std::optional<Config>()> reload;
  AddressLife address_life = AddressLife::kRenewed;
  // Where the log goes; none: stderr, or the journal if that is what stderr is.
  std::vector<std::unique_ptr<io::LogSink>> sinks;
};

// Runs until stopped and returns the exit code. The process must have one thread.
int run_vrrp(Config config, VrrpOptions options);

}  // namespace nines::vrrp
