// How an event runs: the earliest leaves the heap, the clock jumps to it, its target acts. All
// chance comes from one source in the order of events, so a seed decides everything.
#include "sim/core.h"

#include <algorithm>

#include "base/check.h"
#include "sim/host.h"
#include "sim/kernel.h"
#include "sim/sim_loop.h"
#include "sim/tcp.h"

namespace nines::sim {

Core::Core(std::uint64_t seed) : rng(seed) {}

Core::~Core() {
  for (auto& host : hosts) host->forget_processes();
}

void Core::schedule(Instant at, Kind kind, void* target, std::uint32_t tag) {
  queue_.push_back(Event{std::max(at, now), next_order_++, target, tag, kind});
  std::push_heap(queue_.begin(), queue_.end(), Later());
}

void Core::schedule_task(Instant at, std::function<void()> task) {
  std::uint32_t slot;
  if (free_tasks_.empty()) {
    slot = static_cast<std::uint32_t>(tasks_.size());
    tasks_.emplace_back();
  } else {
    slot = free_tasks_.back();
    free_tasks_.pop_back();
  }
  tasks_[slot] = std::move(task);
  schedule(at, Kind::kTask, nullptr, slot);
}

std::optional<Instant> Core::next_event() const {
  if (queue_.empty()) return std::nullopt;
  return queue_.front().at;
}

bool Core::step() {
  if (queue_.empty()) return false;
  CHECK(!stepping_);
  stepping_ = true;
  std::pop_heap(queue_.begin(), queue_.end(), Later());
  const Event event = queue_.back();
  queue_.pop_back();
  now = event.at;
  ++events;
  fold(static_cast<std::uint64_t>(now.nanoseconds) * 8 + static_cast<std::uint64_t>(event.kind));
  switch (event.kind) {
    case Kind::kPacket:
      arrive(static_cast<Packet*>(event.target));
      break;
    case Kind::kSocket:
      static_cast<Tcp*>(event.target)->on_timer_event(event.tag);
      break;
    case Kind::kPass:
      static_cast<SimLoop*>(event.target)->run_pass();
      break;
    case Kind::kTimer:
      static_cast<SimLoop*>(event.target)->on_timer_event(event.tag);
      break;
    case Kind::kTask: {
      const auto task = std::move(tasks_[event.tag]);
      tasks_[event.tag] = nullptr;
      free_tasks_.push_back(event.tag);
      refresh_clocks();
      task();
      settle();
      break;
    }
  }
  stepping_ = false;
  while (!doomed_.empty()) {
    Process* const process = doomed_.back();
    doomed_.pop_back();
    process->reap();
  }
  return true;
}

void Core::reap_later(Process& process) {
  if (stepping_) {
    doomed_.push_back(&process);
  } else {
    process.reap();
  }
}

void Core::settle() {
  for (SimLoop* loop : loops) loop->settle();
}

void Core::refresh_clocks() {
  for (SimLoop* loop : loops) loop->refresh_clock();
}

Packet* Core::new_packet() {
  if (free_packets_.empty()) {
    packets_.push_back(std::make_unique<Packet>());
    return packets_.back().get();
  }
  Packet* const packet = free_packets_.back();
  free_packets_.pop_back();
  return packet;
}

void Core::release(Packet* packet) {
  std::string payload = std::move(packet->payload);
  payload.clear();
  *packet = Packet();
  packet->payload = std::move(payload);
  free_packets_.push_back(packet);
}

Host* Core::route(Host& from, const Endpoint& to) {
  if (to.is_loopback() || from.has(to)) return &from;
  const auto found = claimants_.find(to.with_port(0));
  if (found == claimants_.end()) return nullptr;
  const auto& hosts_of = found->second;
  for (auto host = hosts_of.rbegin(); host != hosts_of.rend(); ++host) {
    if (!path(from, **host).cut) return *host;
  }
  // All are cut off: the packet leaves and vanishes on the way.
  return hosts_of.empty() ? nullptr : hosts_of.back();
}

bool Core::transmit(Host& from, Packet* packet) {
  packet->sender = &from;
  if (packet->to.is_multicast()) {
    for (auto& host : hosts) {
      Path& way = path(from, *host);
      if (host.get() == &from || way.cut || rng.chance(way.link.loss)) continue;
      Packet* const copy = new_packet();
      *copy = *packet;
      copy->receiver = host.get();
      deliver_after(way, copy, false, way.link.latency_min, way.link.latency_max);
    }
    release(packet);
    return true;
  }
  Host* const to = route(from, packet->to);
  if (to == nullptr) {
    release(packet);
    return false;
  }
  packet->receiver = to;
  Path& way = path(from, *to);
  const bool datagram = packet->kind == PacketKind::kDatagram;
  if (to == &from) {
    deliver_after(way, packet, true, kLoopbackMin, kLoopbackMax);
    return true;
  }
  if (way.cut || rng.chance(way.link.loss)) {
    release(packet);
    return true;
  }
  if (datagram && rng.chance(way.link.duplication)) {
    Packet* const copy = new_packet();
    *copy = *packet;
    deliver_after(way, copy, false, way.link.latency_min, way.link.latency_max);
  }
  deliver_after(way, packet, !datagram, way.link.latency_min, way.link.latency_max);
  return true;
}

void Core::deliver_after(Path& way, Packet* packet, bool in_order, Duration least, Duration most) {
  const auto spread = static_cast<std::uint64_t>(std::max(most - least, 0ns).count());
  Instant at = now + least + Duration(static_cast<std::int64_t>(rng.below(spread + 1)));
  if (in_order) {
    at = std::max(at, way.stream_front + 1ns);
    way.stream_front = at;
  }
  schedule(at, Kind::kPacket, packet);
}

void Core::arrive(Packet* packet) {
  Host& host = *packet->receiver;
  const bool lost =
      !host.powered() || (&host != packet->sender && path(*packet->sender, host).cut) ||
      !(packet->to.is_multicast() || packet->to.is_loopback() || host.has(packet->to));
  if (lost) {
    release(packet);
    return;
  }
  fold(packet->sequence + packet->payload.size());
  host.kernel().handle(packet);
}

Core::Path& Core::path(const Host& from, const Host& to) {
  const auto a = static_cast<std::size_t>(from.index());
  const auto b = static_cast<std::size_t>(to.index());
  if (paths_.size() <= a) paths_.resize(a + 1);
  if (paths_[a].size() <= b) paths_[a].resize(b + 1);
  if (!paths_[a][b]) paths_[a][b] = std::make_unique<Path>();
  Path& found = *paths_[a][b];
  if (!found.own_link) found.link = default_link;
  return found;
}

void Core::announce(const Endpoint& ip, Host& host) {
  auto& list = claimants_[ip];
  std::erase(list, &host);
  list.push_back(&host);
}

void Core::withdraw(const Endpoint& ip, Host& host) { std::erase(claimants_[ip], &host); }

Tcp* Core::new_tcp() {
  if (free_tcps_.empty()) {
    tcps_.push_back(std::make_unique<Tcp>(*this));
    return tcps_.back().get();
  }
  Tcp* const tcp = free_tcps_.back();
  free_tcps_.pop_back();
  return tcp;
}

void Core::free_tcp(Tcp* tcp) { free_tcps_.push_back(tcp); }

void Core::trace(std::string where, std::string text) {
  fold(static_cast<std::uint64_t>(now.nanoseconds));
  for (const char c : where) fold(static_cast<unsigned char>(c));
  for (const char c : text) fold(static_cast<unsigned char>(c));
  trace_lines.push_back(TraceLine{now, std::move(where), std::move(text)});
  if (trace_lines.size() > kTraceLinesMax) trace_lines.pop_front();
}

}  // namespace nines::sim
