// What is kept is found again; what is torn, foreign or of another boot is lost, never half
// believed.
#include "cluster/lease_store.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nines::cluster {
namespace {

class LeaseStoreTest : public testing::Test {
 protected:
  LeaseStoreTest() {
    char path[] = "/tmp/nines-lease-store-XXXXXX";
    folder_ = ::mkdtemp(path);
  }
  ~LeaseStoreTest() override { std::filesystem::remove_all(folder_); }
  Result<LeaseStore> open() { return LeaseStore::open(folder_ + "/state", folder_ + "/memory"); }
  std::string promises() const { return folder_ + "/memory/lease.promises"; }

  std::string folder_;
};

LeaseDisk a_disk() {
  LeaseDisk disk;
  disk.mark = 8192;
  disk.generation = {.number = 3, .voters = {1, 2, 3}, .previous = {1, 2}, .floor = 17};
  disk.change.promised = Ballot::make(5, 2);
  disk.longest_term = 120ms;
  disk.off = {1, 2};
  disk.awaited = {3};
  return disk;
}

LeaseRegister a_register(int number) {
  LeaseRegister state;
  state.promised = Ballot::make(static_cast<std::uint64_t>(number), 1);
  state.accepted = state.promised;
  state.round = 9;
  state.expires = Instant{123'456'789};
  return state;
}

TEST_F(LeaseStoreTest, AFreshHostHasNothing) {
  const auto store = open();
  ASSERT_TRUE(store.has_value());
  EXPECT_FALSE(store->disk().has_value());
  EXPECT_FALSE(store->promises().has_value());
}

TEST_F(LeaseStoreTest, TheDiskIsFoundAgain) {
  ASSERT_TRUE(open()->write_disk(a_disk()).has_value());
  EXPECT_EQ(open()->disk(), a_disk());
}

TEST_F(LeaseStoreTest, ADiskThatIsNotWholeIsLost) {
  const std::string bytes = encode(a_disk());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_disk(bytes.substr(0, size)).has_value()) << size;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string broken = bytes;
    broken[at] = static_cast<char>(broken[at] ^ 1);
    EXPECT_FALSE(decode_disk(broken).has_value()) << at;
  }
  EXPECT_FALSE(decode_disk(bytes + '\0').has_value());
}

TEST_F(LeaseStoreTest, PromisesAreFoundAgain) {
  {
    auto store = open();
    LeasePromises all;
    all.floor = 7;
    all.votes_from = Instant{42};
    all.cold = true;
    *all.add(11) = a_register(1);
    ASSERT_TRUE(store->keep(lease_effect::KeepAll{all}).has_value());
    ASSERT_TRUE(store->keep(lease_effect::KeepRegister{22, a_register(2)}).has_value());
    ASSERT_TRUE(store->keep(lease_effect::KeepRegister{11, a_register(3)}).has_value());
  }
  auto store = open();
  ASSERT_TRUE(store->promises().has_value());
  LeasePromises found = *store->promises();
  EXPECT_EQ(found.floor, 7u);
  EXPECT_EQ(found.votes_from, Instant{42});
  EXPECT_TRUE(found.cold);
  ASSERT_EQ(found.registers.size(), 2u);
  EXPECT_EQ(*found.find(11), a_register(3));
  EXPECT_EQ(*found.find(22), a_register(2));
  // And goes on where it was.
  ASSERT_TRUE(store->keep(lease_effect::KeepRegister{22, a_register(4)}).has_value());
}

TEST_F(LeaseStoreTest, WhatWasKeptOutlivesAProcessThatIsKilledRightAfter) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = open();
    LeasePromises all;
    *all.add(11) = a_register(1);
    if (store->keep(lease_effect::KeepAll{all}).has_value() &&
        store->keep(lease_effect::KeepRegister{11, a_register(2)}).has_value()) {
      ::raise(SIGKILL);
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "nothing was kept";
  auto store = open();
  ASSERT_TRUE(store->promises().has_value());
  LeasePromises found = *store->promises();
  ASSERT_EQ(found.registers.size(), 1u);
  EXPECT_EQ(*found.find(11), a_register(2));
}

TEST_F(LeaseStoreTest, PromisesThatAreNotWholeAreLost) {
  LeasePromises all;
  *all.add(11) = a_register(1);
  ASSERT_TRUE(open()->keep(lease_effect::KeepAll{all}).has_value());
  for (const std::streamoff at : {0, 8, 24, 30, 90, 128, 136, 180}) {
    std::fstream file(promises(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const char before = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(before ^ 1));
    file.close();
    // A reader leaves no broken file behind: it is put back for the next round.
    std::filesystem::copy_file(promises(), folder_ + "/broken",
                               std::filesystem::copy_options::overwrite_existing);
    EXPECT_FALSE(open()->promises().has_value()) << at;
    EXPECT_FALSE(std::filesystem::exists(promises()));
    std::filesystem::copy_file(folder_ + "/broken", promises());
    std::fstream mended(promises(), std::ios::in | std::ios::out | std::ios::binary);
    mended.seekp(at);
    mended.put(before);
  }
  EXPECT_TRUE(open()->promises().has_value());
}

TEST_F(LeaseStoreTest, OneProcessAtATime) {
  auto first = open();
  ASSERT_TRUE(first.has_value());
  const auto second = open();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kExists);
}

TEST_F(LeaseStoreTest, OneProcessOnAHostWhateverItsStateFolder) {
  auto first = open();
  ASSERT_TRUE(first.has_value());
  const auto second = LeaseStore::open(folder_ + "/another", folder_ + "/memory");
  ASSERT_FALSE(second.has_value()) << "both would write the same promises";
  EXPECT_EQ(second.error().code(), ErrorCode::kExists);
}

TEST_F(LeaseStoreTest, NoMoreNamesThanThereIsRoomFor) {
  auto store = open();
  ASSERT_TRUE(store->keep(lease_effect::KeepAll{}).has_value());
  for (std::size_t i = 0; i < kRegistersMax; ++i) {
    ASSERT_TRUE(store->keep(lease_effect::KeepRegister{i + 1, a_register(1)}).has_value());
  }
  EXPECT_EQ(store->keep(lease_effect::KeepRegister{9999, a_register(1)}).error().code(),
            ErrorCode::kExhausted);
}

}  // namespace
}  // namespace nines::cluster
