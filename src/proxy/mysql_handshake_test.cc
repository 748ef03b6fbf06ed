// Greetings and login answers as servers send them, and what is made of bytes that lie.
#include "proxy/mysql_handshake.h"

#include <gtest/gtest.h>

namespace nines::proxy::mysql {
namespace {

using namespace std::string_literals;

std::string packet(std::uint8_t sequence, const std::string& payload) {
  std::string out;
  for (int i = 0; i < 3; ++i) out += static_cast<char>(payload.size() >> (8 * i) & 0xff);
  out += static_cast<char>(sequence);
  return out + payload;
}

std::string greeting() {
  return packet(0,
                "\x0a"
                "5.5.5-10.11.6-MariaDB-0+deb12u1\0"s +
                    "\x07\0\0\0"s + "abcdefgh\0"s + "\xfe\xf7"s + "\x2d"s + "\x02\0"s +
                    "\xff\x81"s + "\x15"s + std::string(10, '\0') + "abcdefghijkl\0"s +
                    "mysql_native_password\0"s);
}

TEST(MysqlGreeting, a_server_introduces_itself) {
  const Answer answer = parse_greeting(greeting());
  ASSERT_EQ(answer.parse, Parse::kComplete);
  EXPECT_EQ(answer.kind, Answer::Kind::kGreeting);
  EXPECT_EQ(answer.size, greeting().size());
  EXPECT_EQ(answer.greeting.protocol, 10);
  EXPECT_EQ(answer.greeting.connection, 7u);
}

TEST(MysqlGreeting, its_fields_are_found) {
  const std::string bytes = greeting();
  const Answer answer = parse_greeting(bytes);
  EXPECT_EQ(answer.greeting.version, "5.5.5-10.11.6-MariaDB-0+deb12u1");
  EXPECT_EQ(answer.greeting.auth_plugin, "mysql_native_password");
  EXPECT_EQ(answer.greeting.capabilities, 0x81fff7feu);
}

TEST(MysqlGreeting, every_prefix_needs_more) {
  const std::string bytes = greeting();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(parse_greeting(bytes.substr(0, size)).parse, Parse::kNeedMore) << size;
  }
}

TEST(MysqlGreeting, bytes_behind_the_packet_are_not_looked_at) {
  EXPECT_EQ(parse_greeting(greeting() + "more").size, greeting().size());
}

TEST(MysqlGreeting, too_many_connections) {
  const std::string bytes = packet(0, "\xff\x10\x04Too many connections");
  const Answer answer = parse_greeting(bytes);
  ASSERT_EQ(answer.parse, Parse::kComplete);
  EXPECT_EQ(answer.kind, Answer::Kind::kError);
  EXPECT_EQ(answer.error.code, 1040);
  EXPECT_EQ(answer.error.text, "Too many connections");
}

TEST(MysqlGreeting, what_is_no_greeting_is_bad) {
  EXPECT_EQ(parse_greeting("HTTP/1.1 400 Bad Request\r\n").parse, Parse::kBad);  // a huge length
  EXPECT_EQ(parse_greeting("\0\0\0\0"s).parse, Parse::kBad);                     // an empty packet
  EXPECT_EQ(parse_greeting(packet(0, "\x09old\0"s)).parse, Parse::kBad);
  EXPECT_EQ(parse_greeting(packet(0, "\xff")).parse, Parse::kBad);  // an error without code
  EXPECT_EQ(parse_greeting(packet(0,
                                  "\x0a"
                                  "5.5"))
                .parse,
            Parse::kBad);  // no end of the version
  EXPECT_EQ(parse_greeting(packet(0,
                                  "\x0a"
                                  "5.5\0\x01"s))
                .parse,
            Parse::kBad);
  std::string lies = greeting();  // a scramble longer than the packet
  lies[4 + 1 + 32 + 4 + 9 + 2 + 3 + 2] = '\xff';
  EXPECT_EQ(parse_greeting(lies).parse, Parse::kBad);
}

TEST(MysqlLogin, what_a_server_may_say_to_it) {
  EXPECT_EQ(parse_login_answer(packet(2, "\0\0\0\2\0\0\0"s)).kind, Answer::Kind::kOk);
  EXPECT_EQ(parse_login_answer(packet(2, "\xfemysql_native_password\0"s)).kind,
            Answer::Kind::kAuthSwitch);
  EXPECT_EQ(parse_login_answer(packet(2, "\xfe")).kind, Answer::Kind::kAuthSwitch);
  EXPECT_EQ(parse_login_answer(packet(2, "\x01\x04")).kind, Answer::Kind::kAuthMoreData);
  EXPECT_EQ(parse_login_answer(packet(2, "\x05")).parse, Parse::kBad);
  const std::string denied = packet(2, "\xff\x15\x04#28000Access denied");
  EXPECT_EQ(parse_login_answer(denied).error.code, 1045);
  EXPECT_EQ(parse_login_answer(denied).error.text, "#28000Access denied");
}

// The bytes that HAProxy 2.6 was seen to send.
TEST(MysqlLogin, post_41_is_what_haproxy_sends) {
  EXPECT_EQ(encode_login("haproxy", CheckConfig::MysqlAuth::kPost41),
            "\x29\0\0\x01\0\x82\0\0\0\x80\0\x01\x21"s + std::string(23, '\0') + "haproxy\0\0"s +
                "\x01\0\0\0\x01"s);
}

TEST(MysqlLogin, pre_41_is_what_haproxy_sends) {
  EXPECT_EQ(encode_login("haproxy", CheckConfig::MysqlAuth::kPre41),
            "\x0e\0\0\x01\0\x80\0\0\x01haproxy\0\0\x01\0\0\0\x01"s);
}

}  // namespace
}  // namespace nines::proxy::mysql
