// Interfaces are looked up by name each time: they may have been deleted and made again.
#include "address/interface_addresses.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address/announcement.h"
#include "address/neighbors.h"

namespace nines::address {

namespace {

Result<int> index_of(const std::string& device) {
  const unsigned index = ::if_nametoindex(device.c_str());
  if (index == 0) return Error::from_errno(errno, "interface " + device);
  return static_cast<int>(index);
}

Result<io::InterfaceAddress> as_kernel_wants(const OwnedAddress& address) {
  io::InterfaceAddress kernel;
  kernel.link = TRY(index_of(address.device));
  kernel.address = address.address;
  kernel.prefix_length = static_cast<std::uint8_t>(address.prefix_length);
  kernel.flags = address.flags;
  kernel.scope = address.scope;
  kernel.label = address.label;
  kernel.broadcast = address.broadcast;
  return kernel;
}

Result<HardwareAddress> hardware_of(const std::string& device, int socket) {
  ifreq request{};
  std::strncpy(request.ifr_name, device.c_str(), IFNAMSIZ - 1);
  if (::ioctl(socket, SIOCGIFHWADDR, &request) != 0) {
    return Error::from_errno(errno, "hardware address of " + device);
  }
  HardwareAddress hardware;
  std::memcpy(hardware.data(), request.ifr_hwaddr.sa_data, hardware.size());
  return hardware;
}

Sender sender_of(const OwnedAddress& address) {
  if (address.address.family() != SocketAddress::Family::kIpv6) return Sender::kHost;
  const std::string path = "/proc/sys/net/ipv6/conf/" + address.device + "/forwarding";
  const io::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char value = '0';
  if (!file || ::read(file.get(), &value, 1) != 1) return Sender::kHost;
  return value == '0' ? Sender::kHost : Sender::kRouter;
}

}  // namespace

std::chrono::seconds lifetime_within(Duration patience) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(patience - kExpiryLateness);
  return std::max(whole, std::chrono::duration_cast<std::chrono::seconds>(kLifetimeMin));
}

Result<InterfaceAddresses> InterfaceAddresses::open() {
  io::Netlink netlink = TRY(io::Netlink::open());
  // Protocol 0: no frame is ever delivered here.
  io::Descriptor packets(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!packets) return Error::from_errno(errno, "a packet socket");
  return InterfaceAddresses(std::move(netlink), std::move(packets));
}

Result<void> InterfaceAddresses::take(const OwnedAddress& address, std::chrono::seconds lifetime) {
  io::InterfaceAddress kernel = TRY(as_kernel_wants(address));
  kernel.valid_lifetime = static_cast<std::uint32_t>(lifetime.count());
  kernel.preferred_lifetime = address.deprecated ? 0 : kernel.valid_lifetime;
  return netlink_.replace_address(kernel);
}

Result<void> InterfaceAddresses::drop(const OwnedAddress& address) {
  const io::InterfaceAddress kernel = TRY(as_kernel_wants(address));
  auto result = netlink_.delete_address(kernel);
  if (!result.has_value() && result.error().code() == ErrorCode::kNotFound) return {};
  return result;
}

Result<void> InterfaceAddresses::announce(const OwnedAddress& address, int count) {
  const int index = TRY(index_of(address.device));
  const HardwareAddress hardware = TRY(hardware_of(address.device, packets_.get()));
  const std::string frame = announcement_frame(address.address, hardware, sender_of(address));
  for (int i = 0; i < count; ++i) {
    auto sent = send_frame(index, frame);
    if (!sent.has_value()) {
      return std::move(sent).error().with_context("announce " + address.address.ip_text() + " on " +
                                                  address.device);
    }
  }
  return {};
}

Result<std::size_t> InterfaceAddresses::ask_unheard(const OwnedAddress& address) {
  const int index = TRY(index_of(address.device));
  const auto unheard = TRY(unheard_neighbors(index, address.address.family(), kAskedMax));
  if (unheard.empty()) return std::size_t{0};
  const HardwareAddress hardware = TRY(hardware_of(address.device, packets_.get()));
  for (const SocketAddress& neighbor : unheard) {
    TRY(send_frame(index, question_frame(address.address, hardware, neighbor)));
  }
  return unheard.size();
}

Result<void> InterfaceAddresses::send_frame(int link, const std::string& frame) {
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = link;
  to.sll_halen = ETH_ALEN;
  std::memcpy(to.sll_addr, frame.data(), ETH_ALEN);
  if (::sendto(packets_.get(), frame.data(), frame.size(), 0,
               reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0) {
    return Error::from_errno(errno, "send a frame");
  }
  return {};
}

Result<void> InterfaceAddresses::promote_secondaries(const std::string& device) {
  const std::string path = "/proc/sys/net/ipv4/conf/" + device + "/promote_secondaries";
  const io::Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), "1", 1) != 1) return Error::from_errno(errno, path);
  return {};
}

}  // namespace nines::address
