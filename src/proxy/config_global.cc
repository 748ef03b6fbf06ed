// The global section's table, and its handlers.
#include "proxy/config_global.h"

#include <array>

#include "proxy/config_address.h"
#include "proxy/config_draft.h"

namespace nines::proxy {
namespace {

constexpr int kThreadsMax = 64;  // HAProxy's limit too
constexpr int kBufferMin = 1024;
constexpr int kBufferMax = 1 << 24;

template <std::string GlobalConfig::*Member>
void set_text(GlobalDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("a value");
  if (word != nullptr && statement.expect_end()) draft.config.*Member = word->text;
}

template <bool GlobalConfig::*Member>
void set_switch(GlobalDraft& draft, Statement& statement) {
  if (statement.expect_end()) draft.config.*Member = true;
}

template <std::optional<unsigned> GlobalConfig::*Member>
void set_id(GlobalDraft& draft, Statement& statement) {
  const auto value = statement.take_integer("a number", 0, UINT32_MAX);
  if (value && statement.expect_end()) draft.config.*Member = static_cast<unsigned>(*value);
}

void global_maxconn(GlobalDraft& draft, Statement& statement) {
  const auto value = statement.take_integer("a number of connections", 0, INT32_MAX);
  if (value && statement.expect_end()) draft.config.maxconn = static_cast<int>(*value);
}

void global_nbthread(GlobalDraft& draft, Statement& statement) {
  const auto value = statement.take_integer("a number of threads", 1, kThreadsMax);
  if (value && statement.expect_end()) draft.config.nbthread = static_cast<int>(*value);
}

void global_spread_checks(GlobalDraft& draft, Statement& statement) {
  const auto value = statement.take_integer("a percentage", 0, 50);
  if (value && statement.expect_end()) draft.config.spread_checks = static_cast<int>(*value);
}

template <std::uint32_t GlobalConfig::*Member, int Min>
void set_size(GlobalDraft& draft, Statement& statement) {
  const auto value = statement.take_integer("a number of bytes", Min, kBufferMax);
  if (value && statement.expect_end()) draft.config.*Member = static_cast<std::uint32_t>(*value);
}

void global_description(GlobalDraft& draft, Statement& statement) {
  if (statement.at_end()) {
    statement.error_missing("a text");
    return;
  }
  draft.config.description.clear();
  while (const Word* word = statement.take()) {
    if (!draft.config.description.empty()) draft.config.description += ' ';
    draft.config.description += word->text;
  }
}

void global_log(GlobalDraft& draft, Statement& statement) {
  if (const Word* word = statement.peek(); word != nullptr && word->text == "global") {
    statement.error(*word, "'log global' belongs in 'defaults' or a proxy")
        .with_allowed("log IP[:PORT] FACILITY [LEVEL [MINLEVEL]]");
    return;
  }
  if (auto target = read_log_target(statement)) {
    draft.config.log_targets.push_back(std::move(*target));
  }
}

void global_log_send_hostname(GlobalDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("the name to send");
  if (word != nullptr && statement.expect_end()) draft.config.log_send_hostname = word->text;
}

void stats_socket(GlobalDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("a path or an address");
  if (word == nullptr) return;
  std::vector<BindConfig> binds = parse_bind_addresses(statement, *word);
  StatsSocketConfig socket;
  read_bind_options(binds, &socket, statement);
  for (BindConfig& bind : binds) {
    socket.bind = std::move(bind);
    draft.config.stats_sockets.push_back(socket);
  }
}

void stats_timeout(GlobalDraft& draft, Statement& statement) {
  const auto value = statement.take_duration("a time", std::chrono::milliseconds(1), 1us);
  if (value && statement.expect_end()) draft.config.stats_timeout = *value;
}

constexpr Keyword<GlobalDraft> kGlobalStats[] = {
    harmless<GlobalDraft>("bind-process", kAnywhere, "there is one process"),
    harmless<GlobalDraft>("maxconn", kAnywhere, "every session of the runtime socket is served"),
    {"socket", kAnywhere, &stats_socket},
    {"timeout", kAnywhere, &stats_timeout},
};

void global_stats(GlobalDraft& draft, Statement& statement) {
  if (statement.at_end()) {
    statement.error_missing("one of its settings").with_allowed("socket, timeout");
    return;
  }
  statement.descend();
  dispatch<GlobalDraft>(kGlobalStats, draft, statement, "'stats' setting", "'global' section");
}

// "setenv NAME VALUE", "presetenv NAME VALUE", "unsetenv NAME*", "resetenv NAME*"
void global_setenv(GlobalDraft& draft, Statement& statement) {
  const Word* name = statement.take_word("a name and a value");
  const Word* value = name == nullptr ? nullptr : statement.take();
  if (name == nullptr) return;
  if (value == nullptr) {
    statement.error_missing("a name and a value");
    return;
  }
  if (!statement.expect_end()) return;
  const bool keep = statement.keyword().text == "presetenv";
  if (keep && draft.environment.contains(name->text)) return;
  draft.environment[name->text] = value->text;
}

void global_unsetenv(GlobalDraft& draft, Statement& statement) {
  while (const Word* word = statement.take()) draft.environment.erase(word->text);
}

void global_resetenv(GlobalDraft& draft, Statement& statement) {
  Environment kept;
  while (const Word* word = statement.take()) {
    const auto found = draft.environment.find(word->text);
    if (found != draft.environment.end()) kept.insert(*found);
  }
  draft.environment = std::move(kept);
}

constexpr Keyword<GlobalDraft> absent(std::string_view name, std::string_view advice) {
  return unsupported<GlobalDraft>(name, kAnywhere, advice);
}
constexpr Keyword<GlobalDraft> no_effect(std::string_view name, std::string_view why) {
  return harmless<GlobalDraft>(name, kAnywhere, why);
}
constexpr Keyword<GlobalDraft> gone(std::string_view name, std::string_view advice) {
  return removed<GlobalDraft>(name, kAnywhere, advice);
}

constexpr std::string_view kNoDevices = "device detection is not offered: remove it";
constexpr std::string_view kNoTls = "TLS is not offered: it has nothing to change";
constexpr std::string_view kNoLua = "Lua is not offered: remove it";
constexpr std::string_view kNoScripts =
    "checks run no programs: use 'option httpchk' or 'option mysql-check'";
constexpr std::string_view kOwnTuning = "the engine sizes this by itself";
constexpr std::string_view kNoHttp2 = "HTTP/2 is not offered: it has nothing to change";
constexpr std::string_view kNoCompression = "compression is not offered: it has nothing to change";
constexpr std::string_view kOwnLoop = "the event loop is epoll's";
constexpr std::string_view kKeepsState = "remove it: a reload keeps what is known of the servers";
constexpr std::string_view kCapNotOffered = "write 'maxconn'";
constexpr std::string_view kNoVariables = "variables are not offered";

constexpr Keyword<GlobalDraft> kGlobalKeywords[] = {
    absent("51degrees-cache-size", kNoDevices),
    absent("51degrees-data-file", kNoDevices),
    absent("51degrees-property-name-list", kNoDevices),
    absent("51degrees-property-separator", kNoDevices),
    no_effect("busy-polling", kOwnLoop),
    no_effect("ca-base", kNoTls),
    {"chroot", kAnywhere, &set_text<&GlobalConfig::chroot>},
    no_effect("close-spread-time", "idle connections are closed one by one"),
    no_effect("cluster-secret", "nothing here is signed with it"),
    no_effect("cpu-map", "the kernel places the threads; use systemd's CPUAffinity to bind them"),
    no_effect("crt-base", kNoTls),
    {"daemon", kAnywhere, &set_switch<&GlobalConfig::daemon>},
    no_effect("default-path", "no file is named by this configuration"),
    {"description", kAnywhere, &global_description},
    absent("deviceatlas-json-file", kNoDevices),
    absent("deviceatlas-log-level", kNoDevices),
    absent("deviceatlas-properties-cookie", kNoDevices),
    absent("deviceatlas-separator", kNoDevices),
    no_effect("expose-experimental-directives", "there are none"),
    absent("external-check", kNoScripts),
    no_effect("fd-hard-limit", "the descriptor limit of the process applies"),
    {"gid", kAnywhere, &set_id<&GlobalConfig::group_id>},
    absent("grace", "write 'hard-stop-after'"),
    {"group", kAnywhere, &set_text<&GlobalConfig::group>},
    absent("h1-accept-payload-with-any-method",
           "remove it: a body is framed by its fields, whatever the method"),
    absent("h1-case-adjust", "remove it: field names pass through as they come"),
    absent("h1-case-adjust-file", "remove it: field names pass through as they come"),
    no_effect("h2-workaround-bogus-websocket-clients", kNoHttp2),
    absent("hard-stop-after", "remove it: a stop waits for sessions until the second signal"),
    absent("httpclient.resolvers.id", kNoLua),
    absent("httpclient.resolvers.prefer", kNoLua),
    absent("httpclient.ssl.ca-file", kNoLua),
    absent("httpclient.ssl.verify", kNoLua),
    absent("insecure-fork-wanted", kNoScripts),
    absent("insecure-setuid-wanted", kNoScripts),
    no_effect("issuers-chain-path", kNoTls),
    no_effect("localpeer", "there are no peers"),
    {"log", kAnywhere, &global_log},
    {"log-send-hostname", kAnywhere, &global_log_send_hostname},
    {"log-tag", kAnywhere, &set_text<&GlobalConfig::log_tag>},
    absent("lua-load", kNoLua),
    absent("lua-load-per-thread", kNoLua),
    absent("lua-prepend-path", kNoLua),
    {"master-worker", kAnywhere, &set_switch<&GlobalConfig::master_worker>},
    no_effect("max-spread-checks", "checks are spread over their own interval"),
    no_effect("maxcompcpuusage", kNoCompression),
    no_effect("maxcomprate", kNoCompression),
    {"maxconn", kAnywhere, &global_maxconn},
    absent("maxconnrate", kCapNotOffered),
    no_effect("maxpipes", kOwnTuning),
    absent("maxsessrate", kCapNotOffered),
    no_effect("maxsslconn", kNoTls),
    no_effect("maxsslrate", kNoTls),
    no_effect("maxzlibmem", kNoCompression),
    no_effect("mworker-max-reloads", "a reload happens within the process"),
    gone("nbproc", "write 'nbthread'"),
    {"nbthread", kAnywhere, &global_nbthread},
    no_effect("no-memory-trimming", kOwnTuning),
    {"node", kAnywhere, &set_text<&GlobalConfig::node>},
    no_effect("noepoll", kOwnLoop),
    no_effect("noevports", kOwnLoop),
    no_effect("nogetaddrinfo", "host names are not resolved"),
    no_effect("nokqueue", kOwnLoop),
    no_effect("nopoll", kOwnLoop),
    no_effect("noreuseport", "each thread has its own accept queue"),
    no_effect("nosplice", kOwnTuning),
    no_effect("numa-cpu-mapping", "the kernel places the threads"),
    {"pidfile", kAnywhere, &set_text<&GlobalConfig::pidfile>},
    no_effect("pp2-never-send-local", "the PROXY protocol is not offered"),
    {"presetenv", kAnywhere, &global_setenv},
    no_effect("profiling.tasks", "use 'perf'"),
    no_effect("quiet", "'-q' says it on the command line"),
    {"resetenv", kAnywhere, &global_resetenv},
    absent("server-state-base", kKeepsState),
    absent("server-state-file", kKeepsState),
    no_effect("set-dumpable", "core dumps follow the system's setting"),
    absent("set-var", kNoVariables),
    absent("set-var-fmt", kNoVariables),
    {"setenv", kAnywhere, &global_setenv},
    {"spread-checks", kAnywhere, &global_spread_checks},
    no_effect("ssl-default-bind-ciphers", kNoTls),
    no_effect("ssl-default-bind-ciphersuites", kNoTls),
    no_effect("ssl-default-bind-curves", kNoTls),
    no_effect("ssl-default-bind-options", kNoTls),
    no_effect("ssl-default-server-ciphers", kNoTls),
    no_effect("ssl-default-server-ciphersuites", kNoTls),
    no_effect("ssl-default-server-options", kNoTls),
    no_effect("ssl-dh-param-file", kNoTls),
    no_effect("ssl-engine", kNoTls),
    no_effect("ssl-load-extra-del-ext", kNoTls),
    no_effect("ssl-load-extra-files", kNoTls),
    no_effect("ssl-mode-async", kNoTls),
    no_effect("ssl-propquery", kNoTls),
    no_effect("ssl-provider", kNoTls),
    no_effect("ssl-provider-path", kNoTls),
    no_effect("ssl-server-verify", kNoTls),
    no_effect("ssl-skip-self-issued-ca", kNoTls),
    {"stats", kAnywhere, &global_stats},
    no_effect("strict-limits", "a limit that cannot be had is an error in any case"),
    no_effect("thread-group", "threads have no groups"),
    no_effect("thread-groups", "threads have no groups"),
    no_effect("tune.buffers.limit", kOwnTuning),
    no_effect("tune.buffers.reserve", kOwnTuning),
    {"tune.bufsize", kAnywhere, &set_size<&GlobalConfig::buffer_size, kBufferMin>},
    no_effect("tune.chksize", kOwnTuning),
    no_effect("tune.comp.maxlevel", kNoCompression),
    no_effect("tune.fail-alloc", kOwnTuning),
    no_effect("tune.fd.edge-triggered", kOwnLoop),
    no_effect("tune.h2.header-table-size", kNoHttp2),
    no_effect("tune.h2.initial-window-size", kNoHttp2),
    no_effect("tune.h2.max-concurrent-streams", kNoHttp2),
    no_effect("tune.h2.max-frame-size", kNoHttp2),
    no_effect("tune.http.cookielen", "cookies are not captured"),
    no_effect("tune.http.logurilen", "URIs in logs are cut at the line's length only"),
    no_effect("tune.http.maxhdr", "the number of header fields has its own limit"),
    no_effect("tune.idle-pool.shared", kOwnTuning),
    no_effect("tune.idletimer", kOwnTuning),
    no_effect("tune.listener.multi-queue", kOwnTuning),
    no_effect("tune.lua.forced-yield", kNoLua),
    no_effect("tune.lua.maxmem", kNoLua),
    no_effect("tune.lua.service-timeout", kNoLua),
    no_effect("tune.lua.session-timeout", kNoLua),
    no_effect("tune.lua.task-timeout", kNoLua),
    no_effect("tune.maxaccept", kOwnTuning),
    no_effect("tune.maxpollevents", kOwnTuning),
    {"tune.maxrewrite", kAnywhere, &set_size<&GlobalConfig::rewrite_size, 0>},
    no_effect("tune.pattern.cache-size", kOwnTuning),
    no_effect("tune.peers.max-updates-at-once", "there are no peers"),
    no_effect("tune.pipesize", kOwnTuning),
    no_effect("tune.pool-high-fd-ratio", kOwnTuning),
    no_effect("tune.pool-low-fd-ratio", kOwnTuning),
    no_effect("tune.quic.frontend.conn-tx-buffers.limit", "QUIC is not offered"),
    no_effect("tune.quic.frontend.max-idle-timeout", "QUIC is not offered"),
    no_effect("tune.quic.frontend.max-streams-bidi", "QUIC is not offered"),
    no_effect("tune.quic.retry-threshold", "QUIC is not offered"),
    no_effect("tune.rcvbuf.client", kOwnTuning),
    no_effect("tune.rcvbuf.server", kOwnTuning),
    no_effect("tune.recv_enough", kOwnTuning),
    no_effect("tune.runqueue-depth", kOwnTuning),
    no_effect("tune.sched.low-latency", kOwnTuning),
    no_effect("tune.sndbuf.client", kOwnTuning),
    no_effect("tune.sndbuf.server", kOwnTuning),
    no_effect("tune.ssl.cachesize", kNoTls),
    no_effect("tune.ssl.capture-buffer-size", kNoTls),
    no_effect("tune.ssl.capture-cipherlist-size", kNoTls),
    no_effect("tune.ssl.default-dh-param", kNoTls),
    no_effect("tune.ssl.force-private-cache", kNoTls),
    no_effect("tune.ssl.hard-maxrecord", kNoTls),
    no_effect("tune.ssl.keylog", kNoTls),
    no_effect("tune.ssl.lifetime", kNoTls),
    no_effect("tune.ssl.maxrecord", kNoTls),
    no_effect("tune.ssl.ssl-ctx-cache-size", kNoTls),
    no_effect("tune.vars.check-max-size", kNoVariables),
    no_effect("tune.vars.global-max-size", kNoVariables),
    no_effect("tune.vars.proc-max-size", kNoVariables),
    no_effect("tune.vars.reqres-max-size", kNoVariables),
    no_effect("tune.vars.sess-max-size", kNoVariables),
    no_effect("tune.vars.txn-max-size", kNoVariables),
    no_effect("tune.zlib.memlevel", kNoCompression),
    no_effect("tune.zlib.windowsize", kNoCompression),
    {"uid", kAnywhere, &set_id<&GlobalConfig::user_id>},
    no_effect("ulimit-n", "the descriptor limit is raised to what 'maxconn' needs"),
    absent("unix-bind", "write 'mode' on each 'bind'"),
    {"unsetenv", kAnywhere, &global_unsetenv},
    {"user", kAnywhere, &set_text<&GlobalConfig::user>},
    absent("wurfl-cache-size", kNoDevices),
    absent("wurfl-data-file", kNoDevices),
    absent("wurfl-information-list", kNoDevices),
    absent("wurfl-information-list-separator", kNoDevices),
    no_effect("zero-warning", "'-dW' says it on the command line"),
};

// "no busy-polling" and the like: of switches that have no effect either way.
bool take_no(Statement& statement) {
  if (statement.keyword().text != "no") return true;
  const Word* next = statement.peek();
  if (next == nullptr) {
    statement.error_missing("what to turn off");
    return false;
  }
  for (const std::string_view name :
       {"busy-polling", "insecure-fork-wanted", "insecure-setuid-wanted", "numa-cpu-mapping",
        "set-dumpable", "strict-limits"}) {
    if (next->text != name) continue;
    statement.warning(*next, "'no " + std::string(name) + "' has no effect in nines");
    return false;
  }
  statement.error(*next, "'no' does not go with this");
  return false;
}

}  // namespace

void read_global_statement(GlobalDraft& draft, Statement& statement) {
  if (!take_no(statement)) return;
  dispatch<GlobalDraft>(kGlobalKeywords, draft, statement, "keyword", "'global' section");
}

void list_global_keywords(std::vector<KeywordInfo>& out) {
  list_keywords<GlobalDraft>(kGlobalKeywords, "global: ", out);
  list_keywords<GlobalDraft>(kGlobalStats, "global: stats ", out);
}

}  // namespace nines::proxy
