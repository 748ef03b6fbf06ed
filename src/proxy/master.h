// The master of a proxy: reads the configuration, binds the sockets, drops the plane into its own
// process without privileges, and stays behind to watch and reload it. What HAProxy's command line
// starts, this runs; exit codes and signals are HAProxy's (management guide, sections 3 and 4).
//
// Signals to the master: SIGHUP and SIGUSR2 reload; SIGUSR1 stops softly; SIGTERM and SIGINT stop.
#pragma once

#include "proxy/master_options.h"

namespace nines::proxy {

// Exit codes of run_master().
inline constexpr int kExitGood = 0;
inline constexpr int kExitBad = 1;            // a configuration or a socket that cannot be had
inline constexpr int kExitNoListener = 2;     // "-c" of a configuration without any listener
inline constexpr int kExitInterrupted = 130;  // a master under "-W" ended by SIGINT

// Runs until stopped; never returns before. The process must have one thread.
int run_master(const MasterOptions& options);

}  // namespace nines::proxy
