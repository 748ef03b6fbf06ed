// Where each field comes from. What Nines does not do (TLS, compression, splicing, peers) counts 0;
// what is not measured is left out, as HAProxy leaves out what was not built in.
#include "proxy/stats_info.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "proxy/stats_text.h"

namespace nines::proxy {
namespace {

struct InfoField {
  int position;  // tools know the typed form's fields by number too
  std::string_view name;
  std::string_view tag;
  StatsType type;
  std::string_view description;
  StatsValue value;
};

StatsValue nothing() { return {}; }

StatsValue text(std::string value) { return {!value.empty(), 0, std::move(value)}; }

template <typename Integer>
StatsValue number(Integer value) {
  return {true, static_cast<std::int64_t>(value), {}};
}

std::vector<InfoField> info_fields(const ProcessInfo& process, Instant now, WallTime wall_time) {
  const std::int64_t up = std::max<std::int64_t>(
      0, std::chrono::duration_cast<std::chrono::seconds>(now - process.started).count());
  const std::int64_t started = wall_time.seconds() - up;
  const std::int64_t current = process.current_connections;
  const std::uint64_t memory = process.memory_bytes;
  const int sockets = process.max_sockets;
  const int maxconn = process.maxconn;
  const int idle = process.idle_percent;
  const int listeners = process.listeners;
  return {
      {0, "Name", "POS", StatsType::kText, "product", text(process.name)},
      {1, "Version", "POS", StatsType::kText, "version of the product", text(process.version)},
      {2, "Release_date", "POS", StatsType::kText, "day of the release",
       text(process.release_date)},
      {3, "Nbthread", "CGS", StatsType::kU32, "worker threads", number(process.workers)},
      {4, "Nbproc", "CGS", StatsType::kU32, "worker processes, always 1", number(1)},
      {5, "Process_num", "KGP", StatsType::kU32, "number of this worker process, always 1",
       number(1)},
      {6, "Pid", "SGP", StatsType::kU32, "process id", number(process.pid)},
      {7, "Uptime", "MDP", StatsType::kText, "time since the start", text(uptime_text(up))},
      {8, "Uptime_sec", "MDP", StatsType::kU32, "seconds since the start", number(up)},
      {9, "Memmax_MB", "CLP", StatsType::kU32, "limit of memory in MB, 0 for none", number(0)},
      {10, "PoolAlloc_MB", "MGP", StatsType::kU32, "memory in use in MB", number(memory >> 20)},
      {11, "PoolUsed_MB", "MGP", StatsType::kU32, "memory in use in MB", number(memory >> 20)},
      {12, "PoolFailed", "MCP", StatsType::kU32, "allocations that failed", number(0)},
      {13, "Ulimit-n", "CLP", StatsType::kU32, "limit of file descriptors", number(sockets)},
      {14, "Maxsock", "CLP", StatsType::kU32, "limit of sockets", number(sockets)},
      {15, "Maxconn", "CLP", StatsType::kU32, "limit of connections", number(maxconn)},
      {16, "Hard_maxconn", "CLP", StatsType::kU32,
       "limit of connections that the configuration gives", number(maxconn)},
      {17, "CurrConns", "MGP", StatsType::kU32, "connections now", number(current)},
      {18, "CumConns", "MCP", StatsType::kU32, "connections since the start",
       number(process.connections)},
      {19, "CumReq", "MCP", StatsType::kU32, "requests since the start", number(process.requests)},
      {20, "MaxSslConns", "MMP", StatsType::kU32, "limit of TLS connections, 0 for none",
       number(0)},
      {21, "CurrSslConns", "MGP", StatsType::kU32, "TLS connections now", number(0)},
      {22, "CumSslConns", "MCP", StatsType::kU32, "TLS connections since the start", number(0)},
      {23, "Maxpipes", "CLP", StatsType::kU32, "limit of kernel pipes for splicing", number(0)},
      {24, "PipesUsed", "MGP", StatsType::kU32, "kernel pipes in use", number(0)},
      {25, "PipesFree", "MGP", StatsType::kU32, "kernel pipes kept ready", number(0)},
      {26, "ConnRate", "MRP", StatsType::kU32, "connections in the last second",
       number(process.connection_rate)},
      {27, "ConnRateLimit", "CLP", StatsType::kU32, "limit of connections a second, 0 for none",
       number(0)},
      {28, "MaxConnRate", "MMP", StatsType::kU32, "most connections in a second",
       number(process.connection_rate_max)},
      {29, "SessRate", "MRP", StatsType::kU32, "sessions in the last second",
       number(process.session_rate)},
      {30, "SessRateLimit", "CLP", StatsType::kU32, "limit of sessions a second, 0 for none",
       number(0)},
      {31, "MaxSessRate", "MRP", StatsType::kU32, "most sessions in a second",
       number(process.session_rate_max)},
      {32, "SslRate", "MRP", StatsType::kU32, "TLS connections in the last second", number(0)},
      {33, "SslRateLimit", "CLP", StatsType::kU32, "limit of TLS connections a second, 0 for none",
       number(0)},
      {34, "MaxSslRate", "MMP", StatsType::kU32, "most TLS connections in a second", number(0)},
      {35, "SslFrontendKeyRate", "MGP", StatsType::kU32,
       "TLS keys made for clients in the last second", number(0)},
      {36, "SslFrontendMaxKeyRate", "MMP", StatsType::kU32,
       "most TLS keys made for clients in a second", number(0)},
      {37, "SslFrontendSessionReuse_pct", "MGP", StatsType::kU32,
       "percent of TLS connections that needed no new key", number(0)},
      {38, "SslBackendKeyRate", "MRP", StatsType::kU32,
       "TLS keys made for servers in the last second", number(0)},
      {39, "SslBackendMaxKeyRate", "MMP", StatsType::kU32,
       "most TLS keys made for servers in a second", number(0)},
      {40, "SslCacheLookups", "MCP", StatsType::kU32, "lookups in the cache of TLS sessions",
       number(0)},
      {41, "SslCacheMisses", "MCP", StatsType::kU32,
       "lookups in the cache of TLS sessions that found nothing", number(0)},
      {42, "CompressBpsIn", "MRP", StatsType::kU32, "bytes into compression in the last second",
       number(0)},
      {43, "CompressBpsOut", "MRP", StatsType::kU32, "bytes out of compression in the last second",
       number(0)},
      {44, "CompressBpsRateLim", "CLP", StatsType::kU32,
       "limit of bytes out of compression a second", number(0)},
      {47, "Tasks", "MGP", StatsType::kU32, "tasks, running or waiting", number(process.tasks)},
      {48, "Run_queue", "MGP", StatsType::kU32, "tasks that wait for a thread", number(0)},
      {49, "Idle_pct", "MaP", StatsType::kU32, "percent of the last second spent waiting",
       number(idle)},
      {50, "node", "COS", StatsType::kText, "name of this node", text(process.node)},
      {51, "description", "COS", StatsType::kText, "description of this node",
       text(process.description)},
      {52, "Stopping", "MGP", StatsType::kU32, "1 while the process is ending",
       number(process.stopping ? 1 : 0)},
      {53, "Jobs", "MGP", StatsType::kU32, "connections and listeners that keep the process alive",
       number(current + listeners)},
      {54, "Unstoppable Jobs", "MGP", StatsType::kU32, "jobs that a soft stop leaves alone",
       number(0)},
      {55, "Listeners", "MGP", StatsType::kU32, "listeners that are open", number(listeners)},
      {56, "ActivePeers", "MGP", StatsType::kU32, "peers in use", number(0)},
      {57, "ConnectedPeers", "MGP", StatsType::kU32, "peers connected", number(0)},
      {58, "DroppedLogs", "MGP", StatsType::kU32, "log lines that could not be sent",
       number(process.dropped_logs)},
      {59, "BusyPolling", "MGP", StatsType::kU32, "1 when polling never sleeps", number(0)},
      {60, "FailedResolutions", "MGP", StatsType::kU32, "names that did not resolve", number(0)},
      {61, "TotalBytesOut", "MGP", StatsType::kU64, "bytes sent to clients",
       number(process.bytes_out)},
      {62, "TotalSplicdedBytesOut", "MGP", StatsType::kU64,
       "bytes sent to clients through kernel pipes", number(0)},
      {63, "BytesOutRate", "MRP", StatsType::kU64, "bytes sent to clients in the last second",
       nothing()},
      {64, "DebugCommandsIssued", "MGP", StatsType::kU32, "debug commands given", number(0)},
      {65, "CumRecvLogs", "MCP", StatsType::kU32, "log lines received", number(0)},
      {66, "Build info", "POS", StatsType::kText, "what was built", text(process.version)},
      {67, "Memmax_bytes", "CLP", StatsType::kU32, "limit of memory in bytes, 0 for none",
       number(0)},
      {68, "PoolAlloc_bytes", "MGP", StatsType::kU64, "memory in use in bytes", number(memory)},
      {69, "PoolUsed_bytes", "MGP", StatsType::kU64, "memory in use in bytes", number(memory)},
      {70, "Start_time_sec", "MDP", StatsType::kU32,
       "when the process started, in seconds of civil time", number(started)},
      {71, "Tainted", "SGP", StatsType::kText, "anything experimental in use", text("0")},
  };
}

}  // namespace

void append_info(std::string& out, const ProcessInfo& process, Instant now, WallTime wall_time,
                 const InfoOptions& options) {
  bool first = true;
  if (options.format == InfoOptions::Format::kJson) out += '[';
  for (const InfoField& field : info_fields(process, now, wall_time)) {
    if (!field.value.present) continue;
    switch (options.format) {
      case InfoOptions::Format::kPlain:
        out += field.name;
        out += ": ";
        append_value(out, field.type, field.value);
        break;
      case InfoOptions::Format::kTyped:
        out += std::to_string(field.position) + '.';
        out += field.name;
        out += ".1:";
        out += field.tag;
        out += ':';
        out += type_name(field.type);
        out += ':';
        append_value(out, field.type, field.value);
        break;
      case InfoOptions::Format::kJson:
        out += first ? "" : ",";
        out += R"({"field":{"pos":)" + std::to_string(field.position) + R"(,"name":")";
        out += field.name;
        out += R"("},"processNum":1,)";
        append_json_tags(out, field.tag);
        out += ',';
        append_json_value(out, field.type, field.value);
        out += '}';
        break;
    }
    first = false;
    if (options.format == InfoOptions::Format::kJson) continue;
    if (options.descriptions) {
      out += ":\"";
      out += field.description;
      out += '"';
    }
    out += '\n';
  }
  if (options.format == InfoOptions::Format::kJson) out += "]\n";
}

std::string uptime_text(std::int64_t seconds) {
  char text[48];
  std::snprintf(text, sizeof text, "%lldd %lldh%02lldm%02llds",
                static_cast<long long>(seconds / 86400),
                static_cast<long long>(seconds / 3600 % 24),
                static_cast<long long>(seconds / 60 % 60), static_cast<long long>(seconds % 60));
  return text;
}

}  // namespace nines::proxy
