// Every form to the byte: other programs read these lines.
#include "io/log_format.h"

#include <gtest/gtest.h>

namespace nines::io {
namespace {

using std::chrono::seconds;

WallTime at(std::int64_t epoch_seconds, int milliseconds = 0) {
  return WallTime{epoch_seconds * 1'000'000'000 + std::int64_t{milliseconds} * 1'000'000};
}

constexpr std::int64_t kFebruary = 1707116889;  // 2024-02-05 07:08:09 UTC

std::string syslog(const SyslogForm& form, Severity severity, std::string_view message,
                   const std::vector<LogField>& fields = {}) {
  std::string out;
  append_syslog(out, form, severity, "Feb  5 07:08:09", message, fields);
  return out;
}

std::string console(const ConsoleForm& form, Severity severity, std::string_view message,
                    const std::vector<LogField>& fields = {}) {
  std::string out;
  append_console(out, form, at(kFebruary, 45), seconds(0), severity, message, fields);
  return out;
}

std::string journal(Severity severity, std::string_view message,
                    const std::vector<LogField>& fields = {}) {
  std::string out;
  append_journal(out, "nines", severity, message, fields);
  return out;
}

SyslogForm haproxy_form() {
  return {.facility = 17, .tag = "haproxy", .pid = 8576, .length_max = 1024};
}

TEST(LogFormat, NamesOfFacilitiesAndSeveritiesGoBothWays) {
  for (int facility = 0; facility < 24; ++facility) {
    EXPECT_EQ(facility_named(name_of_facility(facility)), facility);
  }
  EXPECT_EQ(facility_named("local1"), 17);
  EXPECT_EQ(facility_named("audit"), 13);
  EXPECT_EQ(facility_named("local8"), std::nullopt);
  EXPECT_EQ(facility_named(""), std::nullopt);
  for (int severity = 0; severity < 8; ++severity) {
    EXPECT_EQ(severity_named(name_of(static_cast<Severity>(severity))),
              static_cast<Severity>(severity));
  }
  EXPECT_EQ(severity_named("err"), Severity::kError);
  EXPECT_EQ(severity_named("error"), std::nullopt);
}

TEST(LogFormat, TimestampPadsTheDayWithASpaceAndIsLocal) {
  EXPECT_EQ(syslog_timestamp(at(kFebruary), seconds(0)), "Feb  5 07:08:09");
  EXPECT_EQ(syslog_timestamp(at(kFebruary), seconds(8 * 3600)), "Feb  5 15:08:09");
  EXPECT_EQ(syslog_timestamp(at(kFebruary), seconds(-8 * 3600)), "Feb  4 23:08:09");
  EXPECT_EQ(syslog_timestamp(at(1709164800), seconds(0)), "Feb 29 00:00:00");
  EXPECT_EQ(syslog_timestamp(at(1709164799), seconds(0)), "Feb 28 23:59:59");
  EXPECT_EQ(syslog_timestamp(at(1735689599, 999), seconds(0)), "Dec 31 23:59:59");
}

TEST(LogFormat, TimestampIsMadeAnewWhenTheSecondChangesOnly) {
  static int asked;
  asked = 0;
  SyslogTimestamp timestamp([](WallTime) {
    ++asked;
    return seconds(3600);
  });
  EXPECT_EQ(timestamp.at(at(kFebruary, 1)), "Feb  5 08:08:09");
  EXPECT_EQ(timestamp.at(at(kFebruary, 999)), "Feb  5 08:08:09");
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(timestamp.at(at(kFebruary + 1)), "Feb  5 08:08:10");
  EXPECT_EQ(timestamp.at(at(kFebruary)), "Feb  5 08:08:09");  // a clock set back
  EXPECT_EQ(asked, 3);
}

// What HAProxy 2.6 sent for the same event, byte for byte.
TEST(LogFormat, SyslogLineIsThatOfHaproxy) {
  EXPECT_EQ(syslog(haproxy_form(), Severity::kEmergency, "proxy a has no server available!"),
            "<136>Feb  5 07:08:09 haproxy[8576]: proxy a has no server available!\n");
  EXPECT_EQ(syslog(haproxy_form(), Severity::kInformational, "x"),
            "<142>Feb  5 07:08:09 haproxy[8576]: x\n");
}

TEST(LogFormat, SyslogLineWithoutAProcessId) {
  EXPECT_EQ(syslog({.facility = 0, .tag = "nines"}, Severity::kDebug, "x"),
            "<7>Feb  5 07:08:09 nines: x\n");
}

TEST(LogFormat, FieldsFollowTheMessageQuotedWhenTheyNeedIt) {
  EXPECT_EQ(syslog({.tag = "nines"}, Severity::kNotice, "server down",
                   {{"server", "nova/node01"},
                    {"why", "connection refused"},
                    {"said", "a \"b\" \\ c"},
                    {"empty", ""},
                    {"sum", "1+1=2"}}),
            "<133>Feb  5 07:08:09 nines: server down server=nova/node01 "
            "why=\"connection refused\" said=\"a \\\"b\\\" \\\\ c\" empty=\"\" sum=\"1+1=2\"\n");
}

TEST(LogFormat, NoTextCanBeginALineOfItsOwn) {
  EXPECT_EQ(syslog({.tag = "n"}, Severity::kNotice, "a\n<0>b\x7f\t", {{"k", "v\r\nw"}}),
            "<133>Feb  5 07:08:09 n: a#0A<0>b#7F#09 k=v#0D#0Aw\n");
}

TEST(LogFormat, SyslogLineIsCutAtItsLengthAndNeverWithinACharacter) {
  // HAProxy: `len 1024` allows 1024 bytes, then the newline.
  EXPECT_EQ(syslog(haproxy_form(), Severity::kInformational, std::string(5000, 'y')).size(), 1025u);
  const SyslogForm form{.tag = "n", .length_max = 28};
  EXPECT_EQ(syslog(form, Severity::kNotice, "abcdef"), "<133>Feb  5 07:08:09 n: abcd\n");
  EXPECT_EQ(syslog(form, Severity::kNotice, "abc\xc3\xa9"), "<133>Feb  5 07:08:09 n: abc\n");
  EXPECT_EQ(syslog(form, Severity::kNotice, "ab\xc3\xa9z"), "<133>Feb  5 07:08:09 n: ab\xc3\xa9\n");
}

TEST(LogFormat, AppendingKeepsWhatIsThere) {
  std::string out = "before ";
  append_syslog(out, {.tag = "n", .length_max = 28}, Severity::kNotice, "Feb  5 07:08:09", "abcdef",
                {});
  EXPECT_EQ(out, "before <133>Feb  5 07:08:09 n: abcd\n");
}

TEST(LogFormat, ConsoleLineForAPipeAndForAFile) {
  EXPECT_EQ(console({}, Severity::kWarning, "server down", {{"server", "a/b"}}),
            "07:08:09.045 warning server down server=a/b\n");
  EXPECT_EQ(console({.date = true}, Severity::kInformational, "up"),
            "2024-02-05 07:08:09.045 info up\n");
}

TEST(LogFormat, ConsoleLineInColour) {
  EXPECT_EQ(console({.colour = true}, Severity::kError, "no", {{"k", "v"}}),
            "\033[2m07:08:09.045\033[0m \033[1;31merr no\033[0m\033[2m k=v\033[0m\n");
  EXPECT_EQ(console({.colour = true}, Severity::kInformational, "yes"),
            "\033[2m07:08:09.045\033[0m info yes\n");
}

TEST(LogFormat, ConsoleCannotBeMadeToRunEscapeSequences) {
  EXPECT_EQ(console({}, Severity::kInformational, "\033]0;title\a"),
            "07:08:09.045 info #1B]0;title#07\n");
}

TEST(LogFormat, JournalDatagram) {
  EXPECT_EQ(journal(Severity::kWarning, "server down", {{"server", "a/b"}, {"retry count", "3"}}),
            "PRIORITY=4\nSYSLOG_IDENTIFIER=nines\nMESSAGE=server down\nSERVER=a/b\n"
            "RETRY_COUNT=3\n");
}

TEST(LogFormat, JournalValuesWithNewlinesAreLengthEncoded) {
  EXPECT_EQ(
      journal(Severity::kNotice, "a\nb"),
      std::string("PRIORITY=5\nSYSLOG_IDENTIFIER=nines\nMESSAGE\n\3\0\0\0\0\0\0\0a\nb\n", 55));
  const std::string long_value(300, '\n');
  const std::string datagram = journal(Severity::kNotice, "m", {{"k", long_value}});
  EXPECT_EQ(datagram, "PRIORITY=5\nSYSLOG_IDENTIFIER=nines\nMESSAGE=m\nK\n" +
                          std::string("\x2c\1\0\0\0\0\0\0", 8) + long_value + "\n");
}

TEST(LogFormat, JournalValuesAreCut) {
  const std::string datagram = journal(Severity::kNotice, std::string(100'000, 'x'));
  EXPECT_EQ(datagram.size(),
            std::string_view("PRIORITY=5\nSYSLOG_IDENTIFIER=nines\nMESSAGE=\n").size() +
                kJournalValueMax);
}

TEST(LogFormat, JournalFieldNamesAreWhatJournaldTakes) {
  EXPECT_EQ(journal_field_name("code"), "CODE");
  EXPECT_EQ(journal_field_name("http.status-code"), "HTTP_STATUS_CODE");
  EXPECT_EQ(journal_field_name("_PID"), "PID");
  EXPECT_EQ(journal_field_name("4xx"), "F_4XX");
  EXPECT_EQ(journal_field_name("\xc3\xa9"), "FIELD");
  EXPECT_EQ(journal_field_name(""), "FIELD");
  EXPECT_EQ(journal_field_name(std::string(100, 'a')).size(), 64u);
}

TEST(LogFormat, JournalStreamIsRecognizedByDeviceAndInode) {
  EXPECT_TRUE(is_journal_stream("9:33189", 9, 33189));
  EXPECT_FALSE(is_journal_stream("9:33189", 9, 33190));
  EXPECT_FALSE(is_journal_stream("9:33189 ", 9, 33189));
  EXPECT_FALSE(is_journal_stream("", 0, 0));
}

}  // namespace
}  // namespace nines::io
