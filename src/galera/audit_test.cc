// Golden audits: testdata/audits/NAME.audit has what differs from a well-set cluster in a few
// words, a line "====" and what nines says to it.
#include "galera/audit.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Nothing to complain of, written as a server writes it.
ServerSettings well_set() {
  ServerSettings settings;
  ServerCounters counters;
  const auto row = [&](std::string_view name, std::string_view value) {
    read_settings_row({name, value}, settings, counters);
  };
  row("innodb_flush_log_at_trx_commit", "1");
  row("innodb_flush_log_at_timeout", "1");
  row("innodb_doublewrite", "ON");
  row("innodb_autoinc_lock_mode", "2");
  row("log_bin", "ON");
  row("sync_binlog", "1");
  row("binlog_format", "ROW");
  row("max_connections", "4096");
  row("wsrep_on", "ON");
  row("wsrep_provider", "/usr/lib/galera/libgalera_smm.so");
  row("wsrep_sst_method", "mariabackup");
  row("wsrep_sync_wait", "1");
  row("wsrep_provider_options",
      "base_dir = /var/lib/mysql/; evs.inactive_check_period = PT0.2S; "
      "evs.inactive_timeout = PT6S; evs.install_timeout = PT7.5S; "
      "evs.join_retrans_period = PT1S; evs.keepalive_period = PT0.5S; "
      "evs.suspect_timeout = PT2S; gcache.recover = yes; gcache.size = 2G; "
      "pc.ignore_quorum = false; pc.ignore_sb = false; pc.recovery = true; "
      "repl.causal_read_timeout = PT30S; ");
  return settings;
}

// "node01 setting=value ...": names are written in full, values without spaces.
AuditQuestion question_of(const std::string& text) {
  AuditQuestion question;
  question.measured_for = seconds(10);
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string first;
    words >> first;
    if (first == "arbitrators") {
      words >> question.arbitrators;
      continue;
    }
    if (first == "pool") {
      words >> question.pools.emplace_back().name >> question.pools.back().connections;
      continue;
    }
    AuditedMember& member = question.members.emplace_back();
    member.name = first;
    member.settings = well_set();
    for (std::string word; words >> word;) {
      const auto equals = word.find('=');
      const std::string key = word.substr(0, equals);
      const std::string value = equals == word.npos ? "" : word.substr(equals + 1);
      if (key == "missing") {
        std::getline(words, member.missing);
        member.missing.erase(0, member.missing.find_first_not_of(' '));
      } else if (key == "write") {
        member.load_measured.bytes = std::stod(value);
      } else if (key == "commits") {
        member.load_measured.commits = std::stod(value);
      } else if (key == "used") {
        member.connections_most = std::stoll(value);
      } else if (value.empty()) {
        EXPECT_EQ(member.settings.values.erase(key), 1u) << "no such word: " << word;
      } else {
        EXPECT_TRUE(member.settings.values.contains(key)) << "no such word: " << word;
        member.settings.values[key] = value;
      }
    }
  }
  return question;
}

TEST(AuditTest, GoldenAudits) {
  const std::filesystem::path folder = std::string(NINES_TESTDATA) + "/audits";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".audit") continue;
    SCOPED_TRACE(entry.path().filename().string());
    const std::string text = read(entry.path());
    const std::string mark = "====\n";
    const auto at = text.find(mark);
    ASSERT_NE(at, text.npos);
    const AuditQuestion question = question_of(text.substr(0, at));
    const Audit audit = audit_settings(question);
    const std::string said = render_audit(question, audit) +
                             (audit.is_good() ? "good" : "not good") +
                             (audit.is_all_asked ? "" : ", not all were asked") + "\n";
    if (std::getenv("NINES_GOLDEN_WRITE") != nullptr) {
      std::ofstream(entry.path()) << text.substr(0, at) + mark + said;
    }
    EXPECT_EQ(said, text.substr(at + mark.size()));
    ++count;
  }
  EXPECT_GE(count, 8);
}

TEST(AuditTest, TheStallIsTheSuspicionTheCheckAndTheAgreement) {
  ServerSettings settings = well_set();
  auto stall = write_stall(settings);
  ASSERT_TRUE(stall.has_value());
  EXPECT_EQ(stall->dead, milliseconds(3200));
  EXPECT_EQ(stall->half_heard, milliseconds(13700));
  settings.values.erase("evs.join_retrans_period");
  EXPECT_EQ(write_stall(settings)->dead, milliseconds(3200));
  settings.values["evs.suspect_timeout"] = "5 s";
  EXPECT_FALSE(write_stall(settings).has_value());
}

TEST(ServerSettingsTest, ValuesThatServersWrite) {
  ServerSettings settings;
  const auto duration = [&](const char* text) {
    settings.values["it"] = text;
    return settings.duration("it");
  };
  EXPECT_EQ(duration("PT0.25S"), milliseconds(250));
  EXPECT_EQ(duration("PT1M30S"), seconds(90));
  EXPECT_EQ(duration("P1DT1H"), seconds(25 * 3600));
  for (const char* const bad : {"", "P", "PT", "5", "PT5", "PTS", "PT-1S", "PT1X", "P1S", "PTT1S",
                                "PT1e3S", "PTinfS", "PT99999999999S", "PT5SS"}) {
    EXPECT_EQ(duration(bad), std::nullopt) << bad;
  }
  settings.values["it"] = "16777216";
  EXPECT_EQ(settings.bytes("it"), 16777216.0);
  settings.values["it"] = "128M";
  EXPECT_EQ(settings.bytes("it"), 134217728.0);
  settings.values["it"] = "Yes";
  EXPECT_EQ(settings.flag("it"), true);
  settings.values["it"] = "maybe";
  EXPECT_EQ(settings.flag("it"), std::nullopt);
  EXPECT_EQ(settings.number("it"), std::nullopt);
}

TEST(ServerSettingsTest, HostileRowsAreBounded) {
  ServerSettings settings;
  ServerCounters counters;
  std::string options;
  for (int i = 0; i < 10'000; ++i) options += "a." + std::to_string(i) + "=1;";
  read_settings_row({"wsrep_provider_options", options}, settings, counters);
  EXPECT_LE(settings.values.size(), 256u);
  read_settings_row({"wsrep_provider_options", "evs.x = \x01\x02" + std::string(10'000, 'y')},
                    settings, counters);
  EXPECT_EQ(settings.text("evs.x").substr(0, 4), "??yy");
  EXPECT_LE(settings.text("evs.x").size(), 128u);
  read_settings_row({"secret", "1"}, settings, counters);
  EXPECT_EQ(settings.text("secret"), "");
  read_settings_row({"wsrep_received_bytes", "-5"}, settings, counters);
  EXPECT_EQ(counters.write_bytes, 0);
}

TEST(ServerSettingsTest, ALoadIsNeverNegative) {
  const ServerCounters before{5000, 50, 100, 1}, after{1000, 10, 5, 1};
  EXPECT_EQ(load_between(before, after, seconds(10)).bytes, 0);
  EXPECT_EQ(load_between(after, before, seconds(10)).bytes, 400);
  EXPECT_EQ(load_between(after, before, seconds(10)).commits, 4);
  EXPECT_EQ(load_between(after, before, {}).commits, 0);
  EXPECT_EQ(load_since_start(before).bytes, 50);
  EXPECT_EQ(load_since_start({}).bytes, 0);
}

}  // namespace
}  // namespace nines::galera
