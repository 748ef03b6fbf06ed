// Key files on a real disk: made, read, refused.
#include "cluster/key_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nines::cluster {
namespace {

using testing::HasSubstr;

class KeyFileTest : public testing::Test {
 protected:
  KeyFileTest() {
    std::string folder = testing::TempDir() + "key-file-XXXXXX";
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  ~KeyFileTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& text, unsigned mode) const {
    std::ofstream(path("key")) << text;
    EXPECT_EQ(::chmod(path("key").c_str(), mode), 0);
    return path("key");
  }
  static std::string complaint(const std::string& file) {
    const auto keys = read_key_file(file);
    return keys.has_value() ? "" : keys.error().message();
  }

  std::string folder_;
  const std::string kGood = std::string(63, '1') + "2\n";
};

TEST_F(KeyFileTest, WhatIsMadeIsReadAndOnlyItsOwnerMay) {
  const mode_t before = ::umask(0);
  const auto made = create_key_file(path("new"));
  ::umask(before);
  ASSERT_TRUE(made.has_value());
  struct stat found = {};
  ASSERT_EQ(::stat(path("new").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
  const auto read = read_key_file(path("new"));
  ASSERT_TRUE(read.has_value());
  ASSERT_EQ(read->size(), 1u);
  EXPECT_EQ(read->front().id, made->id);
  EXPECT_EQ(read->front().secret, made->secret);
  const auto other = create_key_file(path("other"));
  ASSERT_TRUE(other.has_value());
  EXPECT_FALSE(other->secret == made->secret);
}

TEST_F(KeyFileTest, NothingIsOverwritten) {
  const std::string file = write("precious", 0600);
  const auto made = create_key_file(file);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code(), ErrorCode::kExists);
  std::string content;
  std::ifstream(file) >> content;
  EXPECT_EQ(content, "precious");

  std::filesystem::create_symlink(path("nowhere"), path("link"));
  EXPECT_EQ(create_key_file(path("link")).error().code(), ErrorCode::kExists);
  EXPECT_FALSE(std::filesystem::exists(path("nowhere")));
  EXPECT_THAT(create_key_file(path("no/folder")).error().message(), HasSubstr("cannot be created"));
}

TEST_F(KeyFileTest, AFileThatOthersMayReadOrWriteIsRefused) {
  for (const unsigned mode : {0640u, 0604u, 0620u, 0602u, 0610u, 0644u, 0666u}) {
    const std::string file = write(kGood, mode);
    EXPECT_EQ(read_key_file(file).error().code(), ErrorCode::kRefused) << std::oct << mode;
    EXPECT_THAT(complaint(file), HasSubstr("chmod 0600 " + file));
  }
  EXPECT_THAT(complaint(write(kGood, 0640)), HasSubstr("(mode 0640)"));
  EXPECT_EQ(complaint(write(kGood, 0600)), "");
  EXPECT_EQ(complaint(write(kGood, 0400)), "");
}

TEST_F(KeyFileTest, AFileOfSomebodyElseIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  const std::string file = write(kGood, 0600);
  ASSERT_EQ(::chown(file.c_str(), 12345, 0), 0);
  EXPECT_EQ(read_key_file(file).error().code(), ErrorCode::kRefused);
  EXPECT_THAT(complaint(file), HasSubstr("belongs to user 12345, who could change it: chown root"));
}

TEST_F(KeyFileTest, WhatElseMayBeWrongIsSaid) {
  EXPECT_THAT(complaint(path("none")), HasSubstr("nines cluster keygen " + path("none")));
  EXPECT_THAT(complaint(folder_), HasSubstr("is not a regular file"));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(complaint(path("pipe")), HasSubstr("is not a regular file"));
  EXPECT_THAT(complaint(write("secret words", 0600)), HasSubstr("/key: line 1: no key"));
  EXPECT_THAT(complaint(write(std::string(10'000, '#'), 0600)), HasSubstr("larger than 4096"));
}

TEST_F(KeyFileTest, ASecondKeyComesBehindTheFirst) {
  const auto first = create_key_file(path("key"));
  ASSERT_TRUE(first.has_value());
  const auto second = add_key_to_file(path("key"));
  ASSERT_TRUE(second.has_value()) << second.error().message();
  const auto keys = read_key_file(path("key"));
  ASSERT_TRUE(keys.has_value()) << keys.error().message();
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0].id, first->id);
  EXPECT_EQ((*keys)[1].id, second->id);
  EXPECT_EQ(add_key_to_file(path("key")).error().code(), ErrorCode::kExists);
  EXPECT_EQ(read_key_file(path("key"))->size(), 2u) << "left as it was";
  EXPECT_FALSE(add_key_to_file(path("none")).has_value());
}

}  // namespace
}  // namespace nines::cluster
