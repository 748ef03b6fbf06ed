// What a member leaves on its disk about itself: grastate.dat, gvwstate.dat, and what the server
// says under --wsrep-recover. Read as hostile: a power cut leaves any bytes at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "galera/position.h"

namespace nines::galera {

inline constexpr std::size_t kStateFileMax = 64u << 10;  // bytes; larger is no such file
inline constexpr std::size_t kViewMembersMax = 64;
inline constexpr std::string_view kGrastateName = "grastate.dat";
inline constexpr std::string_view kGvwstateName = "gvwstate.dat";

// Written when the provider opens and closes. A running server keeps seqno -1 in it, so that after
// a crash it says which history the member belongs to and not how far it came.
struct Grastate {
  Position position;
  bool safe_to_bootstrap = false;  // this member left last, in good order
  friend bool operator==(const Grastate&, const Grastate&) = default;
};

// kInvalid names the line. The uuid must be there; a version that is not 1 or 2 is refused.
Result<Grastate> parse_grastate(std::string_view text);
// What Galera itself would write.
std::string render_grastate(const Grastate& grastate);

// The last view that this member was in, with the names that the group gave its members: Galera
// reforms the primary component by itself once all of them are back (pc.recovery). Gone after a
// shutdown in good order.
struct Gvwstate {
  Uuid self;
  std::string view;           // its id: type, UUID and number
  std::vector<Uuid> members;  // sorted
  friend bool operator==(const Gvwstate&, const Gvwstate&) = default;
};

// kInvalid names the line, or says that the file ends too early; our own id must be a member.
Result<Gvwstate> parse_gvwstate(std::string_view text);

// The position in the output of a server started with --wsrep-recover: what follows the last
// "Recovered position:". kNotFound when there is none; then the end of what it said is in the
// error.
Result<Position> parse_recovered(std::string_view output);

// The first complaint of the storage engine in that output; empty: none. It may go on and tell a
// position all the same, which is what a half-copied state looks like.
std::string engine_complaint(std::string_view output);

}  // namespace nines::galera
