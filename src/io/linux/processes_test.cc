// Real children of a real loop: what they are given, how their end is heard, and that they do not
// outlive the thread that started them.
#include "io/linux/processes.h"

#include <array>
#include <csignal>
#include <fstream>
#include <optional>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nines::io {
namespace {

struct Pipe {
  Descriptor reader;
  Descriptor writer;
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    reader = Descriptor(ends[0]);
    writer = Descriptor(ends[1]);
  }
  // All that is written until every writer has closed.
  std::string read_all() {
    writer.reset();
    std::string text;
    std::array<char, 4096> bytes;
    while (true) {
      const ssize_t count = ::read(reader.get(), bytes.data(), bytes.size());
      if (count <= 0) return text;
      text.append(bytes.data(), static_cast<std::size_t>(count));
    }
  }
};

class LinuxProcessesTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loop = EpollLoop::create();
    ASSERT_TRUE(loop) << loop.error().message();
    loop_ = *std::move(loop);
    processes_ = std::make_unique<LinuxProcesses>(*loop_);
  }

  Result<int> spawn(const SpawnOptions& options) {
    exit_.reset();
    return processes_->spawn(options, [this](int pid, ProcessExit exit) {
      ++exits_;
      exited_pid_ = pid;
      exit_ = exit;
    });
  }
  static SpawnOptions shell(const std::string& script) {
    SpawnOptions options;
    options.arguments = {"/bin/sh", "-c", script};
    return options;
  }
  ProcessExit wait() {
    for (int pass = 0; pass < 1000 && !exit_; ++pass) loop_->run_once(std::chrono::seconds(1));
    return exit_.value_or(ProcessExit{.code = -1, .signal = -1});
  }
  // Another one once it has become a program.
  static std::string name_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
    std::string name;
    EXPECT_TRUE(std::getline(file, name)) << pid;
    return name;
  }
  // What the script prints.
  std::string output_of(SpawnOptions options) {
    Pipe pipe;
    options.descriptors.emplace_back(pipe.writer.get(), 1);
    const auto pid = spawn(options);
    EXPECT_TRUE(pid);
    std::string text = pipe.read_all();
    wait();
    return text;
  }

  std::unique_ptr<EpollLoop> loop_;
  std::unique_ptr<LinuxProcesses> processes_;
  std::optional<ProcessExit> exit_;
  int exited_pid_ = 0;
  int exits_ = 0;
};

TEST_F(LinuxProcessesTest, AnExitStatusIsHeardOnce) {
  const auto pid = spawn(shell("exit 42"));
  ASSERT_TRUE(pid);
  EXPECT_EQ(wait().code, 42);
  EXPECT_EQ(exit_->signal, 0);
  EXPECT_EQ(exited_pid_, *pid);
  loop_->run_once(Duration(0));
  EXPECT_EQ(exits_, 1);
}

TEST_F(LinuxProcessesTest, AKilledChildIsToldByItsSignal) {
  const auto pid = spawn(shell("exec sleep 1000"));
  ASSERT_TRUE(pid);
  ASSERT_TRUE(processes_->signal(*pid, SIGTERM));
  EXPECT_EQ(wait().signal, SIGTERM);
  EXPECT_EQ(exit_->code, 0);
}

TEST_F(LinuxProcessesTest, AProcessThatHasEndedCannotBeSignalled) {
  const auto pid = spawn(shell("exit 0"));
  ASSERT_TRUE(pid);
  wait();
  EXPECT_EQ(processes_->signal(*pid, SIGTERM).error().code(), ErrorCode::kNotFound);
}

TEST_F(LinuxProcessesTest, AProcessThatIsNoChildCannotBeSignalled) {
  EXPECT_EQ(processes_->signal(::getpid(), SIGTERM).error().code(), ErrorCode::kNotFound);
}

TEST_F(LinuxProcessesTest, AMissingProgramThatNobodyWaitedForIsToldByItsExit) {
  SpawnOptions options;
  options.arguments = {"/nowhere/program"};
  options.await_program = false;
  ASSERT_TRUE(spawn(options));
  EXPECT_EQ(wait().error, ENOENT);
  options.arguments = {"/bin/sh", "-c", "exit 127"};
  ASSERT_TRUE(spawn(options));
  EXPECT_EQ(wait().code, 127);
  EXPECT_EQ(exit_->error, 0);
}

// The kernel holds whoever opens a leased file until the lease is given back
// (fs.lease-break-time, 45 s by default): a child that does not come to its program.
TEST_F(LinuxProcessesTest, AChildThatDoesNotComeToItsProgramHoldsNobody) {
  std::string path = testing::TempDir() + "nines-program-XXXXXX";
  Descriptor program(::mkostemp(path.data(), O_CLOEXEC));
  ASSERT_TRUE(program);
  constexpr std::string_view kScript = "#!/bin/sh\nexit 5\n";
  ASSERT_EQ(::write(program.get(), kScript.data(), kScript.size()),
            static_cast<ssize_t>(kScript.size()));
  ASSERT_EQ(::fchmod(program.get(), 0700), 0);
  program = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));  // nobody writes any more
  ASSERT_EQ(::signal(SIGIO, SIG_IGN), SIG_DFL);  // how the kernel says that somebody waits
  SpawnOptions options;
  options.arguments = {path};
  options.await_program = false;
  // A lease for writing is had by whoever alone has the file open.
  ASSERT_EQ(::fcntl(program.get(), F_SETLEASE, F_WRLCK), 0);
  const auto pid = spawn(options);
  ASSERT_TRUE(pid);
  EXPECT_EQ(name_of(*pid), name_of(::getpid())) << "spawn() waited for the program";
  ASSERT_EQ(::fcntl(program.get(), F_SETLEASE, F_UNLCK), 0);
  EXPECT_EQ(wait().code, 5);
  ::signal(SIGIO, SIG_DFL);
  ::unlink(path.c_str());
}

TEST_F(LinuxProcessesTest, AMissingProgramIsToldAtOnce) {
  SpawnOptions options;
  options.arguments = {"/nowhere/program"};
  const auto pid = spawn(options);
  ASSERT_FALSE(pid);
  EXPECT_EQ(pid.error().code(), ErrorCode::kNotFound);
  EXPECT_NE(pid.error().message().find("/nowhere/program"), std::string::npos);
  options.arguments = {"/etc/passwd"};
  EXPECT_EQ(spawn(options).error().code(), ErrorCode::kRefused);
  EXPECT_EQ(exits_, 0);
}

TEST_F(LinuxProcessesTest, OnlyTheGivenDescriptorsAreOpen) {
  Pipe other;
  const int without_cloexec = ::dup(other.reader.get());
  SpawnOptions options = shell("ls /proc/$$/fd; exit 0");
  options.descriptors = {{other.writer.get(), 7}};
  EXPECT_EQ(output_of(options), "0\n1\n2\n7\n");
  ::close(without_cloexec);
}

TEST_F(LinuxProcessesTest, StandardStreamsThatAreNotGivenAreEmpty) {
  EXPECT_EQ(output_of(shell("readlink /proc/$$/fd/0; readlink /proc/$$/fd/2; cat; echo x >&2")),
            "/dev/null\n/dev/null\n");
}

TEST_F(LinuxProcessesTest, DescriptorsCanTradePlaces) {
  Pipe first, second;
  ASSERT_GE(first.writer.get(), 3);
  SpawnOptions options = shell("echo to-first >&" + std::to_string(second.writer.get()) +
                               "; echo to-second >&" + std::to_string(first.writer.get()));
  options.descriptors = {{first.writer.get(), second.writer.get()},
                         {second.writer.get(), first.writer.get()}};
  ASSERT_TRUE(spawn(options));
  EXPECT_EQ(first.read_all(), "to-first\n");
  EXPECT_EQ(second.read_all(), "to-second\n");
  EXPECT_EQ(wait().code, 0);
}

TEST_F(LinuxProcessesTest, AClosedDescriptorCannotBeGiven) {
  SpawnOptions options = shell("exit 0");
  constexpr int kClosed = 900;
  options.descriptors = {{kClosed, 5}};
  EXPECT_FALSE(spawn(options));
}

TEST_F(LinuxProcessesTest, TheEnvironmentIsInheritedOrGiven) {
  ::setenv("NINES_TEST_VARIABLE", "inherited", 1);
  EXPECT_EQ(output_of(shell("echo $NINES_TEST_VARIABLE")), "inherited\n");
  SpawnOptions options = shell("echo $NINES_TEST_VARIABLE$OTHER");
  options.environment = {"OTHER=given"};
  EXPECT_EQ(output_of(options), "given\n");
  ::unsetenv("NINES_TEST_VARIABLE");
}

TEST_F(LinuxProcessesTest, AChildStartsWithDefaultSignals) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto handler = ::signal(SIGPIPE, SIG_IGN);
  // By exec: a shell that starts grep blocks signals for itself while it does so.
  EXPECT_EQ(output_of(shell("exec grep -E 'SigBlk|SigIgn' /proc/self/status")),
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  ::signal(SIGPIPE, handler);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(LinuxProcessesTest, ManyChildrenAreEachHeard) {
  constexpr int kChildren = 20;
  int sum = 0;
  int ended = 0;
  for (int i = 0; i < kChildren; ++i) {
    ASSERT_TRUE(
        processes_->spawn(shell("exit " + std::to_string(i)), [&sum, &ended](int, ProcessExit e) {
          sum += e.code;
          ++ended;
        }));
  }
  for (int pass = 0; pass < 1000 && ended < kChildren; ++pass) {
    loop_->run_once(std::chrono::seconds(1));
  }
  EXPECT_EQ(ended, kChildren);
  EXPECT_EQ(sum, kChildren * (kChildren - 1) / 2);
}

TEST_F(LinuxProcessesTest, AnEndMayStartTheNext) {
  int last = 0;
  ASSERT_TRUE(processes_->spawn(shell("exit 1"), [this, &last](int, ProcessExit first) {
    last = first.code;
    ASSERT_TRUE(spawn(shell("exit 2")));
  }));
  EXPECT_EQ(wait().code, 2);
  EXPECT_EQ(last, 1);
}

TEST_F(LinuxProcessesTest, AChildDiesWithTheThreadThatStartedIt) {
  Pipe alive;  // the child holds its write end for as long as it lives
  std::thread([&alive] {
    auto loop = EpollLoop::create();
    ASSERT_TRUE(loop);
    LinuxProcesses processes(**loop);
    SpawnOptions options = shell("exec sleep 1000");
    options.descriptors = {{alive.writer.get(), 1}};
    ASSERT_TRUE(processes.spawn(options, nullptr));
  }).join();
  EXPECT_EQ(alive.read_all(), "");  // the test's timeout is the limit
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

}  // namespace
}  // namespace nines::io
