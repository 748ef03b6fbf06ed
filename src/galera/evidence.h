// What one host knows of its member, as a value and as a text that travels: how its server is, what
// its disk says, how far it came. Recoveries decide from these alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "galera/state_files.h"
#include "galera/wsrep_status.h"

namespace nines::galera {

struct Evidence {
  enum class Server : std::uint8_t {
    kDown,        // no process has the member's data
    kStarting,    // one has, and belongs to no component, or does not answer
    kNonPrimary,  // in a component without a majority
    kPrimary,
  };
  enum class Data : std::uint8_t {
    kPresent,
    kEmpty,  // nothing of a database: a new disk, or one that is not mounted
  };
  std::string member;
  Server server = Server::kDown;
  std::string server_said;  // why it is kStarting, in words; may be empty
  // Of kStarting: it listens for no client yet, so that it initialises, waits for others or takes
  // their state. Else it may be anything, a primary that lets nobody in for one.
  bool is_closed = false;
  // Of a server that answers.
  Position running;
  int component_size = 0;
  LocalState local_state = LocalState::kUndefined;

  Data data = Data::kPresent;
  std::optional<Grastate> grastate;
  std::string grastate_fault;  // why there is none
  std::optional<Gvwstate> gvwstate;
  std::string gvwstate_fault;  // it is there and cannot be read; empty otherwise
  // A state transfer to this member began and did not end: its files are a mixture.
  bool is_torn = false;
  // Something else says that its files may not be whole, in words; empty: nothing does.
  std::string doubt;
  // Of a server that is down: what its storage engine says.
  std::optional<Position> recovered;
  std::string recovered_fault;  // why there is none

  friend bool operator==(const Evidence&, const Evidence&) = default;
};
std::string_view name_of(Evidence::Server server);
std::string_view name_of(Evidence::Data data);

inline constexpr std::size_t kEvidenceMax = 32u << 10;  // bytes of its text
inline constexpr std::size_t kFaultMax = 400;           // bytes of one fault in it

// Lines of "key: value" between a first line with the version and "end", so that a text that was
// cut short is none.
std::string render_evidence(const Evidence& evidence);
// kInvalid says which line. What the text came with (a banner of a login, say) is passed over up to
// its first line.
Result<Evidence> parse_evidence(std::string_view text);

}  // namespace nines::galera
