// By the beginning of what the parser says; lease_notes_test.cc fails when that changes.
#include "lease_notes.h"

#include <array>
#include <string_view>

namespace nines {

namespace {

struct Saying {
  std::string_view of_elections;  // how the message begins
  std::string_view message, help;
};

constexpr std::array<Saying, 8> kSayings = {{
    {"as a backup this waits", "with leases a priority only says who asks first for a free address",
     "nobody fails over later for a low one: each point less is 40 us"},
    {"VRRP sends its password in clear",
     "with leases no adverts are sent: this password is not used",
     "what the controllers say to each other is sealed with the cluster's key of nines.yaml"},
    {"VRRP version 3 has no authentication",
     "with leases no adverts are sent: this password is not used",
     "what the controllers say to each other is sealed with the cluster's key of nines.yaml"},
    {"the owner (priority 255) always preempts",
     "with leases an address stays where it is: nopreempt holds for every priority", ""},
    {"nopreempt wants 'state BACKUP'",
     "with leases an address stays where it is: nopreempt holds for every state", ""},
    {"preempt_delay wants", "with leases an address stays where it is: preempt_delay is not used",
     ""},
    {"with nopreempt this delay",
     "with leases an address stays where it is: preempt_delay is not used", ""},
    {"VRRP version 2 counts whole seconds",
     "with leases no adverts are sent: their interval is not used",
     "how long a dead host goes unnoticed is 'term' in the cluster of nines.yaml"},
}};

}  // namespace

void say_for_leases(text::Diagnostics& diagnostics) {
  diagnostics.rewrite([](text::Diagnostic& each) {
    for (const Saying& saying : kSayings) {
      if (!each.message.starts_with(saying.of_elections)) continue;
      each.message = saying.message;
      each.help = saying.help;
      return;
    }
  });
}

}  // namespace nines
