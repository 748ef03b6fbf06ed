// There and back, whatever a server says, and what is no word.
#include "node/member_word.h"

#include <gtest/gtest.h>

namespace nines::node {
namespace {

using Kind = MemberWord::Kind;

TEST(MemberWord, is_the_same_after_its_way) {
  for (const char* const member : {"192.0.2.41:3306", "[2001:db8::41]:3307"}) {
    const SocketAddress address = *SocketAddress::parse(member);
    for (const MemberWord& word :
         {MemberWord{Kind::kSays, address, Instant{12}, "ON", "4", "Primary"},
          MemberWord{Kind::kSays, address, Instant{12}, "OFF", "0", "non-Primary"},
          MemberWord{Kind::kSays, address, Instant{12}, "", "", ""},
          MemberWord{Kind::kDoubt, address, {}, "", "", ""}, MemberWord{}}) {
      const auto parsed = parse_member_word(encode(word));
      ASSERT_TRUE(parsed.has_value()) << encode(word) << ": " << parsed.error().message();
      EXPECT_EQ(*parsed, word);
    }
  }
}

TEST(MemberWord, a_server_cannot_say_more_than_its_word) {
  const SocketAddress address = *SocketAddress::parse("192.0.2.41:3306");
  for (const std::string& said :
       {std::string("ON 4 Primary"), std::string("\n"), std::string("-"), std::string("?"),
        std::string(kMemberWordMax + 1, 'a'), std::string("O\0N", 3), std::string("\xc3\xbc")}) {
    const auto parsed =
        parse_member_word(encode({Kind::kSays, address, Instant{12}, said, "4", "Primary"}));
    ASSERT_TRUE(parsed.has_value()) << said;
    EXPECT_EQ(parsed->ready, "?") << said;
    EXPECT_EQ(parsed->local_state, "4");
    EXPECT_EQ(parsed->cluster_status, "Primary");
  }
}

TEST(MemberWord, anything_else_is_refused) {
  for (const char* const text :
       {"", "says", "says 192.0.2.41:3306 12 ON 4", "says 192.0.2.41:3306 12 ON 4 Primary x",
        "says /run/socket 12 ON 4 Primary", "says 192.0.2.41:3306 0 ON 4 Primary",
        "says 192.0.2.41:3306 -1 ON 4 Primary", "says 192.0.2.41:3306 12x ON 4 Primary",
        "says 192.0.2.41:3306 12 ON 4 Pri_mary", "doubt", "doubt 192.0.2.41",
        "doubt 192.0.2.41:3306 x", "gone 192.0.2.41:3306", "Gone"}) {
    EXPECT_FALSE(parse_member_word(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace nines::node
