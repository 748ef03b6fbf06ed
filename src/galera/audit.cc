// One function for each setting: a member's values in, what they mean out. Members of which the
// same is said share a finding.
#include "galera/audit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/stable_sort.h"

namespace nines::galera {

namespace {

using std::chrono::seconds;

// The retransmission of join messages, where the server does not name the option.
constexpr Duration kJoinRetransDefault = seconds(1);
// What a kernel leaves unwritten by its defaults (vm.dirty_expire_centisecs).
constexpr Duration kKernelWritesWithin = seconds(30);
// A suspicion should outlast this many signs of life that went missing.
constexpr int kSignsOfLifeMin = 3;

struct Judged {
  Verdict verdict = Verdict::kUnknown;
  std::string value, effect, mend;
};

struct Context {
  const AuditQuestion& question;
  WriteLoad load;
};

std::string rounded(double number, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  return text;
}

// Of two digits or so: "0.4 s", "6.5 s", "43 min", "3.2 h", "12 days".
std::string time_text(double secs) {
  if (secs < 10) return rounded(secs, std::abs(secs - std::round(secs)) < 0.05 ? 0 : 1) + " s";
  if (secs < 120) return rounded(secs, 0) + " s";
  if (secs < 2 * 3600) return rounded(secs / 60, 0) + " min";
  if (secs < 2 * 86400) return rounded(secs / 3600, secs < 36000 ? 1 : 0) + " h";
  return rounded(secs / 86400, 0) + " days";
}
std::string time_text(Duration duration) {
  return time_text(std::chrono::duration<double>(duration).count());
}

std::string size_text(double bytes) {
  static constexpr std::array<const char*, 4> kUnits = {" B", " KiB", " MiB", " GiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) bytes /= 1024, ++unit;
  const bool is_whole = unit == 0 || bytes >= 10 || bytes == std::round(bytes);
  return rounded(bytes, is_whole ? 0 : 1) + kUnits[unit];
}

std::string commits_text(double commits) {
  if (commits < 0.5) return "";
  return ", about " + rounded(commits, 0) + (commits < 1.5 ? " commit" : " commits");
}

Judged not_said() { return {Verdict::kUnknown, "not said", "the server did not say", ""}; }

// -- what loses commits ---------------------------------------------------------------------------

Judged judge_flush(const AuditedMember& member, const Context& context) {
  const auto flush = member.settings.number("innodb_flush_log_at_trx_commit");
  if (!flush) return not_said();
  const std::string value = std::to_string(*flush);
  if (*flush == 1 || *flush == 3) {
    return {Verdict::kGood, value, "a commit is on the disk before it is acknowledged", ""};
  }
  const auto timeout = member.settings.number("innodb_flush_log_at_timeout").value_or(1);
  const auto lost = static_cast<double>(timeout);
  const std::string amount = "the last " + time_text(lost) + " of acknowledged commits" +
                             commits_text(context.load.commits * lost);
  return {Verdict::kLoss, value,
          *flush == 0 ? "when the servers of all members die together, " + amount + ", are lost"
                      : "when all members lose power together, " + amount + ", are lost",
          "innodb_flush_log_at_trx_commit = 1"};
}

// With a binary log a commit is decided there: the engine's own is only prepared, and is rolled
// back when the log does not have it.
Judged judge_sync_binlog(const AuditedMember& member, const Context& context) {
  const auto log = member.settings.flag("log_bin");
  const auto sync = member.settings.number("sync_binlog");
  if (!log || !sync) return not_said();
  const std::string value = std::to_string(*sync);
  if (!*log) return {Verdict::kGood, value, "there is no binary log, so that it has no effect", ""};
  if (*sync == 1)
    return {Verdict::kGood, value, "the binary log is on the disk at each commit", ""};
  const double lost = std::chrono::duration<double>(kKernelWritesWithin).count();
  const std::string amount =
      *sync == 0 ? "up to " + time_text(lost) + commits_text(context.load.commits * lost)
                 : "up to " + value + " groups of commits";
  return {Verdict::kLoss, value,
          "when power fails the binary log lacks " + amount +
              "; what it lacks the storage engine rolls back, acknowledged or not",
          "sync_binlog = 1, or no log_bin where nobody reads it"};
}

Judged judge_doublewrite(const AuditedMember& member, const Context&) {
  const auto is_on = member.settings.flag("innodb_doublewrite");
  if (!is_on) return not_said();
  if (*is_on) return {Verdict::kGood, "ON", "a page that a power cut tears is whole elsewhere", ""};
  return {
      Verdict::kLoss, "OFF",
      "a page that a power cut tears is lost, and the member's whole data with it: it comes back "
      "by a state transfer, or not at all when all lose power together",
      "innodb_doublewrite = ON, unless the file system writes 16 KiB in one piece"};
}

Judged judge_binlog_format(const AuditedMember& member, const Context&) {
  const std::string value(member.settings.text("binlog_format"));
  if (value.empty()) return not_said();
  if (value == "ROW")
    return {Verdict::kGood, value, "members get rows, which mean the same on all", ""};
  return {
      Verdict::kLoss, value,
      "members may get statements, which can do something else on each: their data drifts apart "
      "and nobody is told until one is thrown out",
      "binlog_format = ROW"};
}

Judged judge_quorum(const AuditedMember& member, const Context&) {
  const auto quorum = member.settings.flag("pc.ignore_quorum");
  const auto split = member.settings.flag("pc.ignore_sb");
  if (!quorum || !split) return not_said();
  if (!*quorum && !*split) {
    return {Verdict::kGood, "no, no", "a part without a majority takes no writes", ""};
  }
  return {Verdict::kLoss, std::string(*split ? "yes" : "no") + ", " + (*quorum ? "yes" : "no"),
          "both sides of a cut network take writes, and one side's are thrown away afterwards",
          "pc.ignore_sb = no; pc.ignore_quorum = no"};
}

// -- what costs time ------------------------------------------------------------------------------

Judged judge_stall(const AuditedMember& member, const Context&) {
  const auto stall = write_stall(member.settings);
  const auto suspect = member.settings.duration("evs.suspect_timeout");
  const auto keepalive = member.settings.duration("evs.keepalive_period");
  const auto inactive = member.settings.duration("evs.inactive_timeout");
  if (!stall || !keepalive) return not_said();
  const std::string value(member.settings.text("evs.suspect_timeout"));
  const std::string effect =
      "when a member dies, all writes of all members stall for up to " + time_text(stall->dead) +
      "; when only some of the others stop hearing it, for up to " + time_text(stall->half_heard);
  if (*suspect < kSignsOfLifeMin * *keepalive) {
    return {Verdict::kTime, value,
            "fewer than " + std::to_string(kSignsOfLifeMin) +
                " signs of life (evs.keepalive_period " +
                std::string(member.settings.text("evs.keepalive_period")) +
                ") fit into it: a few lost packets throw a healthy member out; " + effect,
            "evs.keepalive_period at most a third of evs.suspect_timeout"};
  }
  if (*inactive < *suspect) {
    return {Verdict::kTime, value,
            "evs.inactive_timeout (" + std::string(member.settings.text("evs.inactive_timeout")) +
                ") is shorter: a member is thrown out before the others have agreed; " + effect,
            "evs.inactive_timeout at least evs.suspect_timeout"};
  }
  if (stall->dead <= kStallWanted) return {Verdict::kGood, value, effect, ""};
  return {
      Verdict::kTime, value, effect,
      "evs.keepalive_period=PT0.5S; evs.inactive_check_period=PT0.2S; evs.suspect_timeout=PT2S; "
      "evs.inactive_timeout=PT6S (up to 3.2 s), where no host and no network pauses for 2 s"};
}

Judged judge_gcache(const AuditedMember& member, const Context& context) {
  const auto size = member.settings.bytes("gcache.size");
  if (!size) return not_said();
  const std::string value = size_text(*size);
  if (context.load.bytes < 1) {
    return {
        Verdict::kUnknown, value,
        "nothing was written: how long a member may be away before it takes the whole state (SST) "
        "cannot be said",
        "ask again while the cloud is at work, with --over 1m"};
  }
  const double holds = *size / context.load.bytes;
  const std::string effect =
      "at " + size_text(context.load.bytes) + "/s of writes a member that was away for more than " +
      time_text(holds) + " takes the whole state (SST), not what it missed (IST)";
  const double wanted = std::chrono::duration<double>(kAbsenceWanted).count();
  if (holds >= wanted) return {Verdict::kGood, value, effect, ""};
  return {Verdict::kTime, value, effect,
          "gcache.size = " + rounded(std::ceil(wanted * context.load.bytes / (1 << 20)), 0) +
              "M for " + time_text(wanted)};
}

Judged judge_gcache_recover(const AuditedMember& member, const Context&) {
  const auto is_on = member.settings.flag("gcache.recover");
  if (!is_on) return not_said();
  if (*is_on)
    return {Verdict::kGood, "yes", "a member that was restarted can feed others by IST", ""};
  return {
      Verdict::kTime, "no",
      "a member that was restarted has no write sets to give: after an outage of all, everybody "
      "that is behind takes the whole state (SST)",
      "gcache.recover = yes"};
}

Judged judge_pc_recovery(const AuditedMember& member, const Context&) {
  const auto is_on = member.settings.flag("pc.recovery");
  if (!is_on) return not_said();
  if (*is_on) {
    return {Verdict::kGood, "yes", "members that lost power together find together by themselves",
            ""};
  }
  return {
      Verdict::kTime, "no",
      "members that lost power together never find together by themselves: each such outage takes "
      "a bootstrap",
      "pc.recovery = yes"};
}

Judged judge_sst(const AuditedMember& member, const Context& context) {
  const std::string value(member.settings.text("wsrep_sst_method"));
  if (value.empty()) return not_said();
  if (value == "mariabackup") {
    return {Verdict::kGood, value, "a member that feeds another goes on taking writes", ""};
  }
  const auto count = context.question.members.size();
  const std::string left =
      count >= 2 ? std::to_string(count - 2) + " of " + std::to_string(count) : std::string("none");
  if (value == "rsync" || value == "mysqldump") {
    return {Verdict::kTime, value,
            "a member that feeds another is blocked until all data is copied: " + left +
                " take writes meanwhile",
            "wsrep_sst_method = mariabackup, with wsrep_sst_auth"};
  }
  return {Verdict::kUnknown, value, "a method that is not known here", ""};
}

// All pools go to one server: the writer, whoever that is after a failure.
Judged judge_connections(const AuditedMember& member, const Context& context) {
  const auto limit = member.settings.number("max_connections");
  if (!limit) return not_said();
  const std::string value = std::to_string(*limit);
  if (context.question.pools.empty()) {
    const std::string used = "at most " + std::to_string(member.connections_most) +
                             " were used at once since the server's start";
    if (static_cast<double>(member.connections_most) >
        kConnectionsUsedMax * static_cast<double>(*limit)) {
      return {Verdict::kTime, value,
              used + ": little is left for a failover, when all come at once",
              "max_connections above the sum of the clients' pools"};
    }
    return {Verdict::kUnknown, value, used + "; what the clients' pools may open is not known",
            "name them in nines.yaml: pools: {keystone: {processes: 24}}"};
  }
  std::int64_t sum = 0;
  const ConnectionPool* largest = &context.question.pools.front();
  for (const ConnectionPool& pool : context.question.pools) {
    sum += pool.connections;
    if (pool.connections > largest->connections) largest = &pool;
  }
  const std::string pools = "the clients' pools may open " + std::to_string(sum) + " (" +
                            largest->name + " alone " + std::to_string(largest->connections) + ")";
  if (sum <= *limit) return {Verdict::kGood, value, pools + ": they fit", ""};
  return {Verdict::kTime, value,
          pools + ": when all are full, as after a failover, " + std::to_string(sum - *limit) +
              " are refused (error 1040)",
          "max_connections = " + std::to_string(sum + sum / 10) + ", or smaller pools"};
}

Judged judge_members(const AuditedMember&, const Context& context) {
  const auto data = static_cast<int>(context.question.members.size());
  const int votes = data + context.question.arbitrators;
  const std::string value = std::to_string(data) + " with data, " +
                            std::to_string(context.question.arbitrators) + " arbitrators";
  const int may_fail = (votes - 1) / 2;
  const std::string effect = std::to_string(may_fail) + " of " + std::to_string(votes) +
                             " may fail at once and the rest takes writes";
  if (may_fail == 0) {
    return {Verdict::kTime, value, effect + ": any failure stops all writes",
            "three members, or an arbitrator (garbd) on a third host"};
  }
  if (data < 3) {
    return {Verdict::kTime, value,
            effect + "; while one is fed by the other nobody is left that is not busy",
            "three members with data"};
  }
  return {Verdict::kGood, value, effect, ""};
}

// -- what should be known -------------------------------------------------------------------------

Judged judge_sync_wait(const AuditedMember& member, const Context&) {
  const auto wait = member.settings.number("wsrep_sync_wait");
  if (!wait) return not_said();
  const std::string value = std::to_string(*wait);
  if ((*wait & 1) != 0) {
    return {Verdict::kGood, value,
            "a read waits until all that was committed before is there, at most " +
                std::string(member.settings.text("repl.causal_read_timeout")),
            ""};
  }
  return {Verdict::kNote, value,
          "a read at another member than the write, as just after a failover, may not see what was "
          "committed before: as old as that member's receive queue",
          "wsrep_sync_wait = 1 where clients read from several members"};
}

Judged judge_autoinc(const AuditedMember& member, const Context&) {
  const auto mode = member.settings.number("innodb_autoinc_lock_mode");
  if (!mode) return not_said();
  const std::string value = std::to_string(*mode);
  if (*mode == 2)
    return {Verdict::kGood, value, "numbers are given without a lock on the table", ""};
  return {
      Verdict::kTime, value,
      "inserts that replicate take a lock on the table: they end in deadlocks (error 1213) and are "
      "tried again",
      "innodb_autoinc_lock_mode = 2"};
}

struct Rule {
  std::string_view setting;
  Judged (*judge)(const AuditedMember& member, const Context& context);
};

// Within one verdict findings stand in this order.
constexpr std::array<Rule, 14> kRules = {{
    {"innodb_flush_log_at_trx_commit", judge_flush},
    {"sync_binlog", judge_sync_binlog},
    {"innodb_doublewrite", judge_doublewrite},
    {"binlog_format", judge_binlog_format},
    {"pc.ignore_sb, pc.ignore_quorum", judge_quorum},
    {"evs.suspect_timeout", judge_stall},
    {"gcache.size", judge_gcache},
    {"gcache.recover", judge_gcache_recover},
    {"pc.recovery", judge_pc_recovery},
    {"wsrep_sst_method", judge_sst},
    {"max_connections", judge_connections},
    {"members", judge_members},
    {"wsrep_sync_wait", judge_sync_wait},
    {"innodb_autoinc_lock_mode", judge_autoinc},
}};

void add(Audit& audit, std::string_view setting, Judged judged, const std::string& member) {
  for (Finding& finding : audit.findings) {
    if (finding.setting == setting && finding.verdict == judged.verdict &&
        finding.value == judged.value && finding.effect == judged.effect) {
      finding.members.push_back(member);
      return;
    }
  }
  audit.findings.push_back({judged.verdict,
                            std::string(setting),
                            std::move(judged.value),
                            {member},
                            std::move(judged.effect),
                            std::move(judged.mend)});
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kLoss:
      return "loss";
    case Verdict::kTime:
      return "time";
    case Verdict::kUnknown:
      return "unknown";
    case Verdict::kNote:
      return "note";
    case Verdict::kGood:
      return "good";
  }
  return "";
}

// Suspicion is looked at once each check period; then the others agree, with join messages that are
// sent again each retransmission period.
std::optional<WriteStall> write_stall(const ServerSettings& settings) {
  const auto suspect = settings.duration("evs.suspect_timeout");
  const auto inactive = settings.duration("evs.inactive_timeout");
  const auto install = settings.duration("evs.install_timeout");
  const auto check = settings.duration("evs.inactive_check_period");
  if (!suspect || !inactive || !install || !check) return std::nullopt;
  const Duration agree = settings.duration("evs.join_retrans_period").value_or(kJoinRetransDefault);
  WriteStall stall;
  stall.dead = *suspect + *check + agree;
  stall.half_heard = std::max(*suspect, *inactive) + *check + std::max(*install, agree);
  return stall;
}

bool Audit::is_good() const {
  return std::none_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.verdict == Verdict::kLoss || finding.verdict == Verdict::kTime;
  });
}

Audit audit_settings(const AuditQuestion& question) {
  Audit audit;
  for (const AuditedMember& member : question.members) {
    for (const WriteLoad& load : {member.load_measured, member.load_since_start}) {
      audit.load.bytes = std::max(audit.load.bytes, load.bytes);
      audit.load.commits = std::max(audit.load.commits, load.commits);
    }
  }
  const Context context{question, audit.load};
  for (const AuditedMember& member : question.members) {
    if (!member.missing.empty()) {
      audit.is_all_asked = false;
      add(audit, "server", {Verdict::kUnknown, "not asked", member.missing, ""}, member.name);
    } else if (member.settings.flag("wsrep_on") == false ||
               member.settings.text("wsrep_provider") == "none") {
      add(audit, "wsrep_on",
          {Verdict::kLoss, "OFF", "it replicates with nobody: what it takes is nowhere else",
           "wsrep_on = ON, and a wsrep_provider"},
          member.name);
    } else {
      for (const Rule& rule : kRules) {
        add(audit, rule.setting, rule.judge(member, context), member.name);
      }
    }
  }
  const auto place = [](const Finding& finding) {
    const auto* const rule = std::find_if(kRules.begin(), kRules.end(), [&](const Rule& each) {
      return each.setting == finding.setting;
    });
    return std::pair(finding.verdict, rule - kRules.begin());
  };
  sort_stably(audit.findings, [&](const Finding& left, const Finding& right) {
    return place(left) < place(right);
  });
  return audit;
}

}  // namespace nines::galera
