// The sinks over real sockets and pipes, within this process: what arrives, and that nothing waits
// when nobody listens or reads.
#include "io/log.h"

#include <array>
#include <cstdlib>
#include <memory>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/linux/descriptor.h"
#include "io/linux/socket.h"

namespace nines::io {
namespace {

constexpr WallTime kNow{1707116889'045'000'000};

struct Written {
  Severity severity;
  std::string message;
  std::vector<LogField> fields;
};

// A sink that can be told to take no more.
class RecordingSink final : public LogSink {
 public:
  explicit RecordingSink(std::vector<Written>& written, const bool& full)
      : written_(written), full_(full) {}
  bool write(const LogRecord& record) override {
    if (full_) return false;
    written_.push_back({record.severity, std::string(record.message), record.fields});
    return true;
  }

 private:
  std::vector<Written>& written_;
  const bool& full_;
};

class LoggerTest : public testing::Test {
 protected:
  std::unique_ptr<LogSink> sink() { return std::make_unique<RecordingSink>(written_, full_); }

  Logger logger_{[] { return kNow; }};
  std::vector<Written> written_;
  bool full_ = false;
};

TEST_F(LoggerTest, EachSinkIsGivenWhatIsInItsRange) {
  logger_.add(sink(), {.least = Severity::kNotice, .most = Severity::kError});
  logger_.write(Severity::kInformational, "too chatty");
  logger_.write(Severity::kNotice, "within");
  logger_.write(Severity::kEmergency, "capped");
  ASSERT_EQ(written_.size(), 2u);
  EXPECT_EQ(written_[0].message, "within");
  EXPECT_EQ(written_[0].severity, Severity::kNotice);
  EXPECT_EQ(written_[1].message, "capped");
  EXPECT_EQ(written_[1].severity, Severity::kError);
}

TEST_F(LoggerTest, DroppedLinesAreCountedAndToldWithTheNextThatGetsThrough) {
  logger_.add(sink());
  full_ = true;
  logger_.write(Severity::kNotice, "lost 1");
  logger_.write(Severity::kNotice, "lost 2");
  EXPECT_EQ(logger_.dropped(), 2u);
  full_ = false;
  logger_.write(Severity::kNotice, "heard");
  logger_.write(Severity::kNotice, "heard too");
  ASSERT_EQ(written_.size(), 3u);
  EXPECT_EQ(written_[0].message, "log lines were dropped: the log took no more");
  ASSERT_EQ(written_[0].fields.size(), 1u);
  EXPECT_EQ(written_[0].fields[0].key, "dropped");
  EXPECT_EQ(written_[0].fields[0].value, "2");
  EXPECT_EQ(written_[1].message, "heard");
  EXPECT_EQ(written_[2].message, "heard too");
  EXPECT_EQ(logger_.dropped(), 2u);
}

TEST_F(LoggerTest, OneFullSinkDoesNotKeepLinesFromAnother) {
  const bool never_full = false;
  std::vector<Written> other;
  logger_.add(sink());
  logger_.add(std::make_unique<RecordingSink>(other, never_full));
  full_ = true;
  logger_.write(Severity::kNotice, "for one");
  EXPECT_TRUE(written_.empty());
  EXPECT_EQ(other.size(), 1u);
}

// A datagram socket bound to an address of the test's choice.
class DatagramReceiver {
 public:
  explicit DatagramReceiver(const SocketAddress& at) {
    const KernelAddress address = *to_kernel(at);
    socket_ = Descriptor(
        ::socket(address.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(::bind(socket_.get(), address.get(), address.size), 0);
  }
  SocketAddress address() const { return *local_address(socket_.get()); }
  // Datagrams to ourselves are there once send returns; an empty string when there is none.
  std::string receive() {
    std::array<char, 65536> bytes;
    const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    return count < 0 ? "" : std::string(bytes.data(), static_cast<std::size_t>(count));
  }

 private:
  Descriptor socket_;
};

class LogSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "nines-log-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/socket";
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }

  static LogRecord record(std::string_view message) {
    static const std::vector<LogField> fields = {{"server", "a/b"}};
    return {kNow, Severity::kWarning, message, fields};
  }
  // The header's time is local, so the expected line is made with the zone of the machine.
  static std::string expected(const std::string& message) {
    return "<140>" + syslog_timestamp(kNow, local_utc_offset(kNow)) + " nines[7]: " + message +
           " server=a/b\n";
  }

  const SyslogForm form_{.facility = 17, .tag = "nines", .pid = 7};
  std::string folder_;
  std::string path_;
};

TEST_F(LogSinkTest, SyslogOverUdpReachesBothFamilies) {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    const SocketAddress any = *SocketAddress::parse_ip(ip, 0);
    Descriptor probe(::socket(to_kernel(any)->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (::bind(probe.get(), to_kernel(any)->get(), to_kernel(any)->size) != 0) continue;
    DatagramReceiver receiver(any);
    auto sink = open_syslog(receiver.address(), form_);
    ASSERT_TRUE(sink) << sink.error().message();
    EXPECT_TRUE((*sink)->write(record("hello")));
    EXPECT_EQ(receiver.receive(), expected("hello"));
  }
}

TEST_F(LogSinkTest, SyslogOverAUnixSocketSurvivesARestartOfTheDaemon) {
  auto sink = open_syslog(SocketAddress::unix_path(path_), form_);
  ASSERT_TRUE(sink);
  EXPECT_FALSE((*sink)->write(record("nobody listens yet")));
  {
    DatagramReceiver receiver(SocketAddress::unix_path(path_));
    EXPECT_TRUE((*sink)->write(record("first")));
    EXPECT_EQ(receiver.receive(), expected("first"));
  }
  EXPECT_FALSE((*sink)->write(record("the daemon died")));
  ::unlink(path_.c_str());
  DatagramReceiver receiver(SocketAddress::unix_path(path_));
  EXPECT_TRUE((*sink)->write(record("second")));
  EXPECT_EQ(receiver.receive(), expected("second"));
}

TEST_F(LogSinkTest, SyslogDropsWhenTheDaemonDoesNotRead) {
  DatagramReceiver receiver(SocketAddress::unix_path(path_));
  auto sink = open_syslog(SocketAddress::unix_path(path_), form_);
  ASSERT_TRUE(sink);
  constexpr int kMoreThanAnyQueue = 100'000;
  int sent = 0;
  while (sent < kMoreThanAnyQueue && (*sink)->write(record("x"))) ++sent;
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, kMoreThanAnyQueue);
}

TEST_F(LogSinkTest, SyslogRefusesAPathThatIsTooLong) {
  auto sink = open_syslog(SocketAddress::unix_path("/" + std::string(200, 'x')), form_);
  ASSERT_FALSE(sink);
  EXPECT_EQ(sink.error().code(), ErrorCode::kInvalid);
}

TEST_F(LogSinkTest, JournalTakesItsOwnProtocol) {
  DatagramReceiver receiver(SocketAddress::unix_path(path_));
  auto sink = open_journal("nines", path_);
  ASSERT_TRUE(sink);
  EXPECT_TRUE((*sink)->write(record("hello")));
  EXPECT_EQ(receiver.receive(), "PRIORITY=4\nSYSLOG_IDENTIFIER=nines\nMESSAGE=hello\nSERVER=a/b\n");
}

TEST_F(LogSinkTest, ConsoleWritesPlainLinesWithTheDateWhereThereIsNoTerminal) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  Descriptor reader(ends[0]), writer(ends[1]);
  auto sink = open_console(writer.get());
  EXPECT_TRUE(sink->write(record("hello")));
  std::array<char, 256> bytes;
  const ssize_t count = ::read(reader.get(), bytes.data(), bytes.size());
  std::string wanted;
  append_console(wanted, {.date = true}, kNow, local_utc_offset(kNow), Severity::kWarning, "hello",
                 record("").fields);
  EXPECT_EQ(std::string(bytes.data(), static_cast<std::size_t>(count)), wanted);
}

TEST_F(LogSinkTest, ConsoleDropsWhenNobodyEmptiesThePipe) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  Descriptor reader(ends[0]), writer(ends[1]);
  auto sink = open_console(writer.get());
  const std::string long_message(10'000, 'x');  // cut to what a pipe takes without blocking
  constexpr int kMoreThanAnyPipe = 10'000;
  int sent = 0;
  while (sent < kMoreThanAnyPipe && sink->write(record(long_message))) ++sent;
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, kMoreThanAnyPipe);
}

TEST(LogZone, OffsetIsThatOfTheMachine) {
  const auto offset = local_utc_offset(kNow);
  EXPECT_LE(offset, std::chrono::hours(14));
  EXPECT_GE(offset, std::chrono::hours(-12));
}

}  // namespace
}  // namespace nines::io
