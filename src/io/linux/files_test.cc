// The files port in a directory of the test's own.
#include "io/linux/files.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/descriptor.h"

namespace nines::io {
namespace {

class LinuxFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "nines-files-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  static unsigned mode_of(const std::string& path) {
    struct stat found {};
    EXPECT_EQ(::stat(path.c_str(), &found), 0);
    return found.st_mode & 07777;
  }

  LinuxFiles files_;
  std::string folder_;
};

TEST_F(LinuxFilesTest, WhatWasWrittenIsReadBack) {
  std::string content("zero\0byte\n", 10);
  for (std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{1'000'000}}) {
    content.resize(size, 'x');
    ASSERT_TRUE(files_.replace(path("a"), content, 0640));
    EXPECT_EQ(files_.read(path("a")).value(), content);
  }
}

TEST_F(LinuxFilesTest, ReplacingSetsTheModeWhateverTheUmask) {
  const mode_t before = ::umask(077);
  ASSERT_TRUE(files_.replace(path("a"), "x", 0644));
  EXPECT_EQ(mode_of(path("a")), 0644u);
  ASSERT_TRUE(files_.replace(path("a"), "x", 0600));
  EXPECT_EQ(mode_of(path("a")), 0600u);
  ::umask(before);
}

TEST_F(LinuxFilesTest, AReaderOfTheOldFileKeepsTheOldText) {
  ASSERT_TRUE(files_.replace(path("a"), "old", 0600));
  FILE* const reader = std::fopen(path("a").c_str(), "re");
  ASSERT_NE(reader, nullptr);
  ASSERT_TRUE(files_.replace(path("a"), "new", 0600));
  char text[4] = {};
  EXPECT_EQ(std::fread(text, 1, 3, reader), 3u);
  std::fclose(reader);
  EXPECT_STREQ(text, "old");
}

TEST_F(LinuxFilesTest, AFailedReplacementLeavesNothingBehind) {
  std::filesystem::create_directory(path("in_the_way"));
  const auto result = files_.replace(path("in_the_way"), "x", 0600);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message().find("in_the_way") != std::string::npos);
  EXPECT_TRUE(files_.list(folder_).value().empty());
  EXPECT_EQ(files_.replace(path("missing/a"), "x", 0600).error().code(), ErrorCode::kNotFound);
}

TEST_F(LinuxFilesTest, ListingNamesRegularFilesInOrder) {
  for (const char* name : {"b.cfg", "a.cfg", "Z.cfg", ".hidden"}) {
    ASSERT_TRUE(files_.replace(path(name), "x", 0600));
  }
  std::filesystem::create_directory(path("folder"));
  std::filesystem::create_symlink("a.cfg", path("link.cfg"));
  std::filesystem::create_symlink("nowhere", path("dangling.cfg"));
  EXPECT_EQ(files_.list(folder_).value(),
            (std::vector<std::string>{".hidden", "Z.cfg", "a.cfg", "b.cfg", "link.cfg"}));
}

TEST_F(LinuxFilesTest, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(files_.read(path("a")).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(files_.list(path("a")).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(files_.remove(path("a")).error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(files_.is_directory(path("a")));
}

TEST_F(LinuxFilesTest, DirectoriesAreToldApart) {
  ASSERT_TRUE(files_.replace(path("a"), "x", 0600));
  EXPECT_TRUE(files_.is_directory(folder_));
  EXPECT_FALSE(files_.is_directory(path("a")));
  EXPECT_FALSE(files_.read(folder_));
}

TEST_F(LinuxFilesTest, RemovingRemoves) {
  ASSERT_TRUE(files_.replace(path("a"), "x", 0600));
  ASSERT_TRUE(files_.remove(path("a")));
  EXPECT_FALSE(files_.read(path("a")));
}

TEST_F(LinuxFilesTest, TooLargeAFileIsRefused) {
  ASSERT_TRUE(files_.replace(path("a"), "", 0600));
  ASSERT_EQ(::truncate(path("a").c_str(), static_cast<off_t>(Files::kReadMax + 1)), 0);  // sparse
  const auto result = files_.read(path("a"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kExhausted);
}

TEST_F(LinuxFilesTest, FilesWithoutASizeAreReadToTheirEnd) {
  EXPECT_FALSE(files_.read("/proc/self/status").value().empty());
}

TEST_F(LinuxFilesTest, WhatAProcessWroteIsReadFromTheBegin) {
  const Descriptor memory(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_TRUE(memory);
  const std::string content(200 << 10, 'x');  // several steps, the last one not full
  ASSERT_TRUE(write_all(memory.get(), content, "a memory file"));
  const auto offset = ::lseek(memory.get(), 0, SEEK_CUR);
  const auto read = read_from_begin(memory.get(), "a memory file");
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(*read, content);
  EXPECT_EQ(::lseek(memory.get(), 0, SEEK_CUR), offset);
}

TEST_F(LinuxFilesTest, WhatCannotBeWrittenOrReadIsNamed) {
  const Descriptor none(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto written = write_all(none.get(), "x", "the report");
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().message(), "the report: Bad file descriptor");
  const Descriptor deaf(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const auto read = read_from_begin(deaf.get(), "the report");
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().message(), "the report: Bad file descriptor");
}

}  // namespace
}  // namespace nines::io
