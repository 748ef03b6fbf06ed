// A /proc made of files, and the kernel's own tables of sockets.
#include "other_networks.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace nines {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHead =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n";
// 10.0.0.1:40000 to 10.0.0.2:3306, and one that listens at 3306.
constexpr const char* kToDatabase =
    "   0: 0100000A:9C40 0200000A:0CEA 01 00000000:00000000 00:00000000 00000000     0        0\n";
constexpr const char* kListens =
    "   1: 00000000:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0\n";
constexpr const char* kToDatabase6 =
    "   0: 00000000000000000000000001000000:9C41 00000000000000000000000001000000:0CEA 01 0:0\n";

TEST(OtherNetworks, CountsConnectionsToThePortsAndNothingElse) {
  const std::string table = std::string(kHead) + kToDatabase + kListens;
  EXPECT_EQ(count_connections(table, {3306, 5672}), 1);
  EXPECT_EQ(count_connections(table, {5672}), 0);
  EXPECT_EQ(count_connections(table, {40000}), 0) << "our own end is no service";
  EXPECT_EQ(count_connections(kToDatabase6, {3306}), 1);
  for (const char* line : {"", "\n\n", "0: a b", "0: a b:zz 01", "0: a b:0CEAA 01", kHead}) {
    EXPECT_EQ(count_connections(line, {3306}), 0) << line;
  }
}

class OtherNetworksTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = testing::TempDir() + "networks-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    fs::create_directories(folder_ / "names");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void add(int process, const std::string& network, const std::string& program,
           const std::string& sockets) {
    const fs::path at = folder_ / "proc" / std::to_string(process);
    fs::create_directories(at / "ns");
    fs::create_directories(at / "net");
    fs::create_symlink(network, at / "ns/net");
    std::ofstream(at / "comm") << program << '\n';
    std::ofstream(at / "net/tcp") << kHead << sockets;
    std::ofstream(at / "net/tcp6") << kHead;
  }
  std::string add_name(const std::string& name) {
    const fs::path path = folder_ / "names" / name;
    std::ofstream(path) << "";
    struct stat found {};
    EXPECT_EQ(::stat(path.c_str(), &found), 0);
    return "net:[" + std::to_string(found.st_ino) + "]";
  }
  std::vector<OtherNetwork> find() {
    return find_other_networks((folder_ / "proc").string(), (folder_ / "names").string(), 1,
                               {3306, 5672});
  }

  fs::path folder_;
};

TEST_F(OtherNetworksTest, ThoseWithConnectionsAreNamedByTheirNameOrAProcess) {
  const std::string router = add_name("qrouter-1");
  add(1, "net:[1]", "nines", kToDatabase);
  add(2, "net:[1]", "nova-api", kToDatabase);
  add(30, router, "haproxy", kToDatabase);
  add(31, router, "keepalived", kToDatabase);
  add(40, "net:[7]", "python3", kToDatabase);
  add(50, "net:[8]", "sleep", kListens);
  EXPECT_EQ(find(), (std::vector<OtherNetwork>{{"pid 40", {"python3"}, 1},
                                               {"qrouter-1", {"haproxy", "keepalived"}, 1}}));
}

TEST_F(OtherNetworksTest, WithoutOursNothingIsOther) {
  add(40, "net:[7]", "python3", kToDatabase);
  EXPECT_TRUE(find().empty());
}

TEST_F(OtherNetworksTest, WhatCannotBeReadIsLeftOut) {
  add(1, "net:[1]", "nines", "");
  fs::create_directories(folder_ / "proc/40");
  fs::create_directories(folder_ / "proc/self");
  EXPECT_TRUE(find().empty());
}

}  // namespace
}  // namespace nines
