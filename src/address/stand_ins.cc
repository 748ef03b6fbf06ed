// The map first, then the programs that read it: attached while anything stands.
#include "address/stand_ins.h"

#include <map>
#include <string>
#include <utility>

#include <netinet/in.h>

#include "address/bpf_address.h"
#include "address/bpf_calls.h"

namespace nines::address {
namespace {

using io::Descriptor;

ConnectChoices choices_of(const StoodInAddress& address) {
  ConnectChoices choices;
  choices.until = static_cast<std::uint64_t>(address.until.nanoseconds);
  for (const SocketAddress& living : address.living) {
    if (living.family() != address.dead.family() || choices.count == kStandInChoices) continue;
    choices.addresses[choices.count++] = bpf::words_of(living);
  }
  return choices;
}

}  // namespace

Result<StandIns> StandIns::create() {
  StandIns made;
  made.groups_ = TRY(bpf::open_root_of_groups());
  made.map_ = TRY(bpf::make_map(BPF_MAP_TYPE_HASH, sizeof(ConnectDestination),
                                sizeof(ConnectChoices), kStandInsMost, BPF_F_NO_PREALLOC));
  const std::uint64_t network = TRY(bpf::own_network());
  for (const bool ipv6 : {false, true}) {
    const auto where = ipv6 ? BPF_CGROUP_INET6_CONNECT : BPF_CGROUP_INET4_CONNECT;
    Descriptor code = TRY(bpf::load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, where,
                                    connect_program(ipv6, network, made.map_.get())));
    made.programs_.push_back({.code = std::move(code), .attached = {}, .where = where});
  }
  TRY(made.attach());
  made.detach();
  return made;
}

Result<void> StandIns::attach() {
  for (Program& program : programs_) {
    if (program.attached) continue;
    program.attached = TRY(bpf::attach(program.code, groups_, program.where));
  }
  return {};
}

void StandIns::detach() {
  for (Program& program : programs_) program.attached.reset();
}

Result<void> StandIns::set(const std::vector<StoodInAddress>& addresses,
                           const std::vector<std::uint16_t>& ports) {
  std::map<ConnectDestination, ConnectChoices> wanted;
  for (const StoodInAddress& address : addresses) {
    const ConnectChoices choices = choices_of(address);
    if (choices.count == 0) continue;
    for (const std::uint16_t port : ports) {
      wanted[{.address = bpf::words_of(address.dead), .port = htons(port)}] = choices;
    }
  }
  if (wanted.size() > kStandInsMost) {
    return Error(ErrorCode::kExhausted, std::to_string(wanted.size()) + " stand-ins of at most " +
                                            std::to_string(kStandInsMost));
  }
  for (auto each = standing_.begin(); each != standing_.end();) {
    if (wanted.contains(*each)) {
      ++each;
    } else {
      TRY(bpf::take(map_, &*each));
      each = standing_.erase(each);
    }
  }
  for (const auto& [destination, choices] : wanted) {
    TRY(bpf::put(map_, &destination, &choices));
    standing_.insert(destination);
  }
  if (!standing_.empty()) return attach();
  detach();
  return {};
}

}  // namespace nines::address
