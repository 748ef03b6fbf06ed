// A transaction to the byte, worked out by hand from linux/netlink.h and nfnetlink.h.
#include "address/nft_batch.h"

#include <bit>
#include <cstdio>

#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

namespace nines::address {
namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(c));
    text += two;
  }
  return text;
}

void write_example(NftBatch& batch) {
  batch.begin_message(NFT_MSG_NEWTABLE, NLM_F_CREATE, NFPROTO_INET, "table inet nines");
  batch.put_text(NFTA_TABLE_NAME, "nines");
  batch.begin_message(NFT_MSG_DELSETELEM, 0, NFPROTO_ARP, "elements");
  batch.begin_nest(1);
  batch.put_u32(2, 0x01020304);
  batch.begin_nest(3);
  batch.put_u64(4, 0x0102030405060708);
  batch.end_nest();
  batch.end_nest();
}

TEST(NftBatch, IsTheseBytes) {
  if constexpr (std::endian::native != std::endian::little) GTEST_SKIP() << "headers are native";
  NftBatch batch(7);
  write_example(batch);
  batch.finish(NftBatch::Ending::kCommit);
  EXPECT_EQ(hex(batch.bytes()),
            // The begin: 20 bytes, type 16, a request, number 7; for subsystem 10, nftables.
            "1400000010000100"
            "0700000000000000"
            "0000000a"
            // Type 0a00, to create, number 8; inet; a name of six bytes with its end, padded.
            "20000000000a0104"
            "0800000000000000"
            "01000000"
            "0a0001006e696e6573000000"
            // Type 0a0e, to be acknowledged, number 9; arp; nests of 28 and 16 bytes.
            "300000000e0a0500"
            "0900000000000000"
            "03000000"
            "1c000180"
            "0800020001020304"
            "10000380"
            "0c0004000102030405060708"
            // The end: type 17, number 10.
            "1400000011000100"
            "0a00000000000000"
            "0000000a");
}

TEST(NftBatch, DryRunHasNoEnd) {
  NftBatch committed(7), rehearsed(7);
  write_example(committed);
  write_example(rehearsed);
  committed.finish(NftBatch::Ending::kCommit);
  rehearsed.finish(NftBatch::Ending::kDryRun);
  EXPECT_EQ(committed.bytes().substr(0, committed.bytes().size() - 20), rehearsed.bytes());
}

TEST(NftBatch, AnswersFindTheirMessageByNumberAlsoWhereNumbersBeginAgain) {
  NftBatch batch(0xfffffffe);
  write_example(batch);
  batch.finish(NftBatch::Ending::kCommit);
  EXPECT_EQ(batch.what(0xfffffffe), "nftables");
  EXPECT_EQ(batch.what(0xffffffff), "table inet nines");
  EXPECT_EQ(batch.what(0), "elements");
  EXPECT_EQ(batch.what(1), "");
  EXPECT_EQ(batch.what(0xfffffffd), "");
  EXPECT_EQ(batch.last_sequence(), 0u);
  EXPECT_EQ(batch.next_sequence(), 2u);
}

}  // namespace
}  // namespace nines::address
