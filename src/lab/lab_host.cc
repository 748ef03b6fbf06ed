// Making a host: fresh namespaces, a veth pair into the switch, and a view of the file system in
// which /etc and /var/lib are overlays and /run and /tmp are its own.
#include "lab/lab_host.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "address/session_killer.h"
#include "io/linux/files.h"

namespace nines::lab {
namespace {

// Enough for pid files, sockets and a chroot; a runaway log must not eat the machine's memory.
constexpr const char* kScratchOptions = "mode=0755,size=64m";
constexpr const char* kTemporaryOptions = "mode=1777,size=256m";
constexpr const char* kOverlays = "/run/.overlay";
constexpr const char* kSwitchBridge = "br0";
constexpr std::uint8_t kNetworkPrefix = 24;

Error failed(std::string_view what) { return Error::from_errno(errno, what); }

Result<io::Descriptor> open_path(const std::string& path, int flags) {
  io::Descriptor result(::open(path.c_str(), flags | O_CLOEXEC));
  if (!result) return failed(path);
  return result;
}

Result<void> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  return failed("mkdir " + path);
}

Result<void> write_file(const std::string& path, std::string_view text, mode_t mode) {
  // A link, as resolv.conf often is, must be replaced and not followed.
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed("unlink " + path);
  io::Descriptor out(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!out) return failed(path);
  return io::write_all(out.get(), text, path);
}

// One of the kernel's own files: opened as it is.
Result<void> write_setting(const char* path, std::string_view value) {
  const io::Descriptor out(::open(path, O_WRONLY | O_CLOEXEC));
  if (!out) return failed(path);
  if (::write(out.get(), value.data(), value.size()) < 0) return failed(path);
  return {};
}

std::string read_file(const std::string& path) {
  std::string text;
  const io::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return text;
  std::array<char, 4096> buffer;
  ssize_t size = 0;
  while ((size = ::read(file.get(), buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return text;
}

Result<void> mount_temporary(const char* at, const char* options) {
  if (::mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) {
    return failed(std::string("mount tmpfs at ") + at);
  }
  return {};
}

// What is at `path` stays readable below; changes go to memory and die with the namespace.
Result<void> overlay(const std::string& path, const std::string& name) {
  const std::string upper = std::string(kOverlays) + '/' + name;
  const std::string work = upper + ".work";
  TRY(make_directory(upper, 0755));
  TRY(make_directory(work, 0755));
  const std::string options = "lowerdir=" + path + ",upperdir=" + upper + ",workdir=" + work;
  if (::mount("overlay", path.c_str(), "overlay", 0, options.c_str()) != 0) {
    return failed("mount overlay at " + path);
  }
  return {};
}

Result<void> bind_descriptor(const io::Descriptor& from, const std::string& to) {
  const std::string source = "/proc/self/fd/" + std::to_string(from.get());
  if (::mount(source.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return failed("bind " + to);
  }
  return {};
}

Result<void> give_accounts() {
  const std::string group = ensure_account(read_file("/etc/group"), "haproxy", "");
  const int group_id = account_id(group, "haproxy").value_or(0);
  TRY(write_file("/etc/group", group, 0644));
  return write_file(
      "/etc/passwd",
      ensure_account(read_file("/etc/passwd"), "haproxy",
                     std::to_string(group_id) + "::/var/lib/haproxy:/usr/sbin/nologin"),
      0644);
}

// A program under /tmp or /run is out of sight in a host, where these are others: it is put there
// at the same path.
Result<void> show_program(const io::Descriptor& program, const std::string& path) {
  if (!program || ::access(path.c_str(), F_OK) == 0) return {};
  for (auto slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    TRY(make_directory(path.substr(0, slash), 0755));
  }
  TRY(write_file(path, "", 0755));
  return bind_descriptor(program, path);
}

// The file system as the host sees it. Every mount is made in the host's own mount namespace.
Result<void> arrange_files(const LabPlan& plan, const HostPlan& host) {
  // Reached through descriptors: /run is about to be covered.
  const auto own = TRY(open_path(host_directory(plan, host), O_PATH | O_DIRECTORY));
  const auto sockets = TRY(open_path(host_directory(plan, host) + "/kolla", O_PATH | O_DIRECTORY));
  std::vector<std::pair<io::Descriptor, std::string>> programs;
  for (const auto& each : plan.engine.programs) {
    const std::string& path = each.command.front();
    if (!path.starts_with('/')) continue;
    programs.emplace_back(io::Descriptor(::open(path.c_str(), O_PATH | O_CLOEXEC)), path);
  }
  TRY(mount_temporary("/run", kScratchOptions));
  TRY(mount_temporary("/tmp", kTemporaryOptions));
  for (const auto& [program, path] : programs) TRY(show_program(program, path));
  TRY(make_directory(kOverlays, 0700));
  TRY(overlay("/etc", "etc"));
  TRY(overlay("/var/lib", "lib"));
  TRY(make_directory("/run/haproxy", 0755));
  TRY(make_directory("/run/lock", 0755));
  TRY(make_directory(std::string(kHostDirectory), 0755));
  TRY(bind_descriptor(own, std::string(kHostDirectory)));
  TRY(make_directory("/var/lib/haproxy", 0755));
  TRY(mount_temporary("/var/lib/haproxy", kScratchOptions));
  TRY(make_directory("/var/lib/kolla", 0755));
  TRY(make_directory("/var/lib/kolla/haproxy", 0755));
  TRY(bind_descriptor(sockets, "/var/lib/kolla/haproxy"));
  TRY(write_file("/etc/hosts", hosts_file(plan), 0644));
  TRY(write_file("/etc/hostname", host.name + '\n', 0644));
  TRY(write_file("/etc/resolv.conf", "# a lab has no name server\n", 0644));
  return give_accounts();
}

Result<void> bring_up(io::Netlink& netlink, std::string_view name) {
  const auto link = TRY(netlink.find_link(name));
  return netlink.set_link_state(link.index, io::LinkState::kUp);
}

Result<void> give_address(io::Netlink& netlink, std::string_view address, std::uint8_t prefix) {
  io::InterfaceAddress wanted;
  wanted.link = TRY(netlink.find_link(kHostInterface)).index;
  wanted.address = TRY(SocketAddress::parse_ip(address, 0));
  wanted.prefix_length = prefix;
  return netlink.add_address(wanted);
}

Result<void> enter_one(const io::Descriptor& descriptor, int kind, const char* what) {
  if (::setns(descriptor.get(), kind) != 0) return failed(what);
  return {};
}

}  // namespace

Result<Namespaces> Namespaces::current() {
  Namespaces result;
  result.network = TRY(open_path("/proc/self/ns/net", O_RDONLY));
  result.mount = TRY(open_path("/proc/self/ns/mnt", O_RDONLY));
  result.host_name = TRY(open_path("/proc/self/ns/uts", O_RDONLY));
  return result;
}

Result<void> Namespaces::enter() const {
  TRY(enter_one(network, CLONE_NEWNET, "setns network"));
  TRY(enter_one(host_name, CLONE_NEWUTS, "setns host name"));
  return enter_one(mount, CLONE_NEWNS, "setns mount");
}

Result<LabNetwork> LabNetwork::create(const LabPlan& plan) {
  auto home = TRY(Namespaces::current());
  if (::unshare(CLONE_NEWNET) != 0) return failed("unshare network");
  LabNetwork network(TRY(io::Netlink::open()), TRY(open_path("/proc/self/ns/net", O_RDONLY)),
                     std::move(home));
  auto made = [&]() -> Result<void> {
    // The switch says nothing itself; a kernel without IPv6 has no such setting.
    static_cast<void>(
        write_setting("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").has_value());
    TRY(network.switch_.add_bridge(kSwitchBridge));
    const int bridge = TRY(network.switch_.find_link(kSwitchBridge)).index;
    TRY(network.switch_.set_link_state(bridge, io::LinkState::kUp));
    network.bridge_ = bridge;
    for (const auto& host : plan.hosts) {
      TRY(network.home_.enter());
      auto added = network.add_host(plan, host, bridge);
      if (!added.has_value()) return std::move(added).error().with_context("host " + host.name);
    }
    return {};
  }();
  TRY(network.home_.enter());
  TRY(std::move(made));
  return network;
}

Result<void> LabNetwork::add_host(const LabPlan& plan, const HostPlan& host, int bridge) {
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS) != 0) return failed("unshare");
  LabHost made{
      .plan = host, .namespaces = TRY(Namespaces::current()), .inside = TRY(io::Netlink::open())};
  if (::sethostname(host.name.data(), host.name.size()) != 0) return failed("sethostname");
  TRY(arrange_files(plan, host));

  const std::string port = "v-" + host.name;
  TRY(switch_.add_veth(port, kHostInterface, made.namespaces.network.get()));
  made.switch_port = TRY(switch_.find_link(port)).index;
  made.bridge_port = made.switch_port;
  TRY(switch_.set_link_master(made.switch_port, bridge));
  TRY(switch_.set_link_state(made.switch_port, io::LinkState::kUp));

  TRY(bring_up(made.inside, "lo"));
  TRY(give_address(made.inside, host.address, kNetworkPrefix));
  if (host.owns_virtual_address) TRY(give_address(made.inside, kVirtualAddress, 32));
  TRY(bring_up(made.inside, kHostInterface));
  // As deployments do it, so that a balancer starts where the virtual address is not.
  TRY(write_setting("/proc/sys/net/ipv4/ip_nonlocal_bind", "1"));
  hosts_.push_back(std::move(made));
  return {};
}

LabHost* LabNetwork::find(std::string_view name) {
  for (auto& host : hosts_) {
    if (host.plan.name == name) return &host;
  }
  return nullptr;
}

Result<void> LabNetwork::cut(LabHost& host) {
  TRY(switch_.set_link_state(host.switch_port, io::LinkState::kDown));
  host.cut = true;
  return {};
}

Result<void> LabNetwork::isolate(LabHost& host) {
  TRY(switch_.set_link_master(host.bridge_port, 0));
  host.isolated = true;
  return {};
}

Result<void> LabNetwork::heal(LabHost& host) {
  if (host.isolated) TRY(switch_.set_link_master(host.bridge_port, bridge_));
  host.isolated = false;
  TRY(switch_.set_link_state(host.switch_port, io::LinkState::kUp));
  host.cut = false;
  return {};
}

Result<void> LabNetwork::splice(LabHost& host) {
  const std::string near = "r-" + host.plan.name;
  const std::string far = "s-" + host.plan.name;
  TRY(switch_.add_veth(near, far, switch_network_.get()));
  const int near_port = TRY(switch_.find_link(near)).index;
  const int far_port = TRY(switch_.find_link(far)).index;
  TRY(switch_.set_link_state(near_port, io::LinkState::kUp));
  TRY(switch_.set_link_state(far_port, io::LinkState::kUp));
  TRY(switch_.set_link_master(host.switch_port, 0));
  if (!host.isolated) TRY(switch_.set_link_master(far_port, bridge_));
  host.bridge_port = far_port;
  host.relay_port = near_port;
  return {};
}

Result<void> LabNetwork::unsplice(LabHost& host) {
  TRY(switch_.delete_link(host.relay_port));  // with its other side
  host.relay_port = 0;
  host.bridge_port = host.switch_port;
  if (!host.isolated) TRY(switch_.set_link_master(host.switch_port, bridge_));
  return {};
}

Result<std::vector<io::InterfaceAddress>> LabNetwork::virtual_addresses(LabHost& host) {
  const auto wanted = TRY(SocketAddress::parse_ip(kVirtualAddress, 0));
  std::vector<io::InterfaceAddress> found;
  auto all = TRY(host.inside.addresses());
  for (auto& each : all) {
    if (each.address.with_port(0) == wanted) found.push_back(std::move(each));
  }
  return found;
}

bool LabNetwork::holds_virtual_address(LabHost& host) {
  const auto found = virtual_addresses(host);
  return found.has_value() && !found->empty();
}

Result<void> LabNetwork::drop_virtual_address(LabHost& host) {
  const auto found = TRY(virtual_addresses(host));
  if (found.empty()) {
    return Error(ErrorCode::kNotFound,
                 host.plan.name + " does not have " + std::string(kVirtualAddress));
  }
  for (const auto& each : found) TRY(host.inside.delete_address(each));
  return {};
}

Result<void> LabNetwork::forget(LabHost& host) {
  const auto added = TRY(virtual_addresses(host));
  for (const auto& each : added) TRY(host.inside.delete_address(each));
  TRY(host.namespaces.enter());
  auto destroyed = [&]() -> Result<void> {
    for (const std::string_view address : {std::string_view(host.plan.address), kVirtualAddress}) {
      const auto lost = TRY(SocketAddress::parse_ip(address, 0));
      TRY(address::destroy_sessions(lost));
    }
    return {};
  }();
  TRY(home_.enter());
  return destroyed;
}

Result<void> LabNetwork::end_connections(const LabHost& peer, const LabHost& host,
                                         std::uint16_t port) {
  const auto dead = TRY(SocketAddress::parse_ip(host.plan.address, 0));
  TRY(peer.namespaces.enter());
  const auto destroyed = address::destroy_connections({dead}, {port}, {});
  TRY(home_.enter());
  if (!destroyed.has_value()) return destroyed.error();
  return {};
}

}  // namespace nines::lab
