// What the manager plane heard from a member of the database, as it travels by way of the
// supervisor to the proxy plane: a line of text. The server's own words are among it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"

namespace nines::node {

struct MemberWord {
  enum class Kind : std::uint8_t {
    kSays,   // it answered
    kDoubt,  // it did not, or not yet: whoever wants to know asks it himself
    kGone,   // nobody looks at any member any more
  };
  Kind kind = Kind::kGone;
  SocketAddress member;  // where clients reach it; not of kGone
  // Of kSays: when it was asked, and its wsrep_ready, wsrep_local_state and wsrep_cluster_status;
  // empty: it has no such variable.
  Instant asked{};
  std::string ready, local_state, cluster_status;
  friend bool operator==(const MemberWord&, const MemberWord&) = default;
};

inline constexpr std::size_t kMemberWordMax = 32;  // characters of one of a server's words

// "says 192.0.2.41:3306 81263549827 ON 4 Primary", "doubt 192.0.2.41:3306", "gone". What is no
// word of letters, digits and '-' is sent as "?".
std::string encode(const MemberWord& word);
Result<MemberWord> parse_member_word(std::string_view text);

}  // namespace nines::node
