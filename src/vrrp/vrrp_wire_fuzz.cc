// Hostile bytes as packets: no crash, and whatever is taken for an advertisement is written again
// as the very same message.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "vrrp/vrrp_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nines::vrrp;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Packet packet;
  const WireFault fault = parse_packet(bytes, packet);
  CHECK(!name_of(fault).empty());
  if (fault != WireFault::kNone) return 0;
  const std::string message = encode_message(packet.advert, packet.source, packet.destination);
  Packet again;
  std::string whole;
  if (packet.source.family() == nines::SocketAddress::Family::kIpv6) {
    const auto header =
        ipv6_header(packet.source, packet.destination, kVrrpTimeToLive, message.size());
    whole.assign(header.data(), header.size());
    whole += message;
  } else {
    whole = bytes.substr(0, std::size_t{4} * (data[0] & 0x0f));
    whole += message;
    whole[2] = static_cast<char>(whole.size() >> 8);
    whole[3] = static_cast<char>(whole.size() & 0xff);
  }
  CHECK(parse_packet(whole, again) == WireFault::kNone);
  CHECK(again.advert == packet.advert);
  CHECK(again.source == packet.source);
  return 0;
}
