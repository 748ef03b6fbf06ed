// Builds a generation out of a configuration: the immutable half is new, the state half is taken
// over from the generation before wherever it is still the same thing.
#include "proxy/runtime.h"

#include <algorithm>

#include "base/check.h"

namespace nines::proxy {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

std::uint64_t second_of(Instant now) {
  return static_cast<std::uint64_t>(now.nanoseconds / kNanosecondsPerSecond);
}

void set_disabled(ServerState& state, bool disabled) {
  state.configured_disabled = disabled;
  state.maintenance = disabled;
}

std::shared_ptr<ServerState> new_server_state(const ServerConfig& config, int workers,
                                              Instant now) {
  auto state = std::make_shared<ServerState>(workers);
  state->weight = config.weight;
  state->initial_weight = config.weight;
  set_disabled(*state, config.disabled);
  state->changed_at = now.nanoseconds;
  if (config.check) {
    // "rise", section 5.2: a server begins up, but so that its first failed check brings it down.
    // One that begins in maintenance is checked only later.
    state->health = config.disabled ? 0 : config.rise;
    state->check_status = CheckStatus::kInitialized;
  }
  return state;
}

std::shared_ptr<ProxyState> new_proxy_state(int workers, Instant now) {
  auto state = std::make_shared<ProxyState>(workers);
  state->changed_at = now.nanoseconds;
  return state;
}

const Proxy* find_side(const Generation* generation, std::string_view name,
                       std::shared_ptr<ProxyState> Proxy::*side) {
  if (generation == nullptr) return nullptr;
  for (const Proxy& proxy : generation->proxies) {
    if (proxy.config->name == name && proxy.*side != nullptr) return &proxy;
  }
  return nullptr;
}

bool any_usable(const Proxy& proxy) {
  return proxy.servers.empty() ||
         std::any_of(proxy.servers.begin(), proxy.servers.end(),
                     [](const Server& server) { return server.state->usable(); });
}

std::vector<Server> build_servers(const ProxyConfig& config, const Proxy* before, int workers,
                                  Instant now) {
  std::vector<Server> servers;
  servers.reserve(config.servers.size());
  for (const ServerConfig& text : config.servers) {
    Server server;
    server.config = &text;
    server.id = static_cast<int>(servers.size()) + 1;
    if (before != nullptr) {
      for (const Server& old : before->servers) {
        if (old.config->name == text.name && old.config->address == text.address) {
          server.state = old.state;
          break;
        }
      }
    }
    if (server.state == nullptr) server.state = new_server_state(text, workers, now);
    servers.push_back(std::move(server));
  }
  return servers;
}

int find_default_backend(const Config& config, std::size_t own) {
  const ProxyConfig& text = config.proxies[own];
  if (text.default_backend.empty()) return text.backend ? static_cast<int>(own) : -1;
  for (std::size_t i = 0; i < config.proxies.size(); ++i) {
    if (config.proxies[i].backend && config.proxies[i].name == text.default_backend) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

}  // namespace

void Rate::count(Instant now) {
  const std::uint64_t second = second_of(now);
  std::uint64_t seen = second_.load(std::memory_order_relaxed);
  // Threads read their clocks apart: one that is still in the second before counts into this one.
  if (second > seen && second_.compare_exchange_strong(seen, second, std::memory_order_relaxed)) {
    const std::uint32_t full = current_.exchange(0, std::memory_order_relaxed);
    previous_.store(second == seen + 1 ? full : 0, std::memory_order_relaxed);
  }
  const std::uint32_t count = current_.fetch_add(1, std::memory_order_relaxed) + 1;
  std::uint32_t highest = max_.load(std::memory_order_relaxed);
  while (count > highest &&
         !max_.compare_exchange_weak(highest, count, std::memory_order_relaxed)) {
  }
}

std::uint32_t Rate::per_second(Instant now) const {
  const std::uint64_t second = second_of(now);
  const std::uint64_t seen = second_.load(std::memory_order_relaxed);
  const std::uint32_t current = current_.load(std::memory_order_relaxed);
  std::uint32_t before = 0;
  std::uint32_t here = 0;
  if (second <= seen) {
    before = previous_.load(std::memory_order_relaxed);
    here = current;
  } else if (second == seen + 1) {
    before = current;
  }
  // One event a second or fewer would flicker between 0 and 1 while its second goes by.
  if (here == 0 && before <= 1) return before;
  const auto left = static_cast<std::uint64_t>(
      second < seen ? kNanosecondsPerSecond
                    : kNanosecondsPerSecond - now.nanoseconds % kNanosecondsPerSecond);
  return here + static_cast<std::uint32_t>(before * left / kNanosecondsPerSecond);
}

std::shared_ptr<const Generation> Generation::create(Config config, int workers, Instant now,
                                                     const Generation* before) {
  CHECK(workers > 0);
  CHECK(before == nullptr || workers <= before->workers);
  auto generation = std::make_shared<Generation>();
  generation->config = std::move(config);
  generation->workers = workers;
  generation->number = before != nullptr ? before->number + 1 : 1;
  const Config& text = generation->config;
  generation->proxies.reserve(text.proxies.size());
  for (std::size_t i = 0; i < text.proxies.size(); ++i) {
    const ProxyConfig& own = text.proxies[i];
    Proxy proxy;
    proxy.config = &own;
    proxy.id = static_cast<int>(i) + 2;
    if (own.frontend) {
      const Proxy* old = find_side(before, own.name, &Proxy::frontend);
      proxy.frontend = old != nullptr ? old->frontend : new_proxy_state(workers, now);
    }
    if (own.backend) {
      const Proxy* old = find_side(before, own.name, &Proxy::backend);
      proxy.servers = build_servers(own, old, workers, now);
      if (old != nullptr) {
        proxy.backend = old->backend;
      } else {
        proxy.backend = new_proxy_state(workers, now);
        proxy.backend->up = any_usable(proxy);
      }
    }
    proxy.default_backend = find_default_backend(text, i);
    generation->proxies.push_back(std::move(proxy));
  }
  return generation;
}

void Generation::settle(Instant now) const {
  for (const Proxy& proxy : proxies) {
    if (proxy.backend == nullptr) continue;
    for (const Server& server : proxy.servers) {
      ServerState& state = *server.state;
      const ServerConfig& text = *server.config;
      if (state.initial_weight != text.weight) {
        // What was set at run time was set against the old text.
        state.initial_weight = text.weight;
        state.weight = text.weight;
      }
      if (state.configured_disabled != text.disabled) {
        state.configured_disabled = text.disabled;
        // Who leaves maintenance is believed up until a check says otherwise.
        ServerChange change{.maintenance = text.disabled};
        if (!text.disabled) change.up = true;
        apply_change(state, change, now);
      }
      if (text.check && state.check_status == CheckStatus::kUnknown) {
        state.check_status = CheckStatus::kInitialized;
        state.health = text.disabled ? 0 : text.rise;
        apply_change(state, {.up = true}, now);
      }
      if (!text.check && state.check_status != CheckStatus::kUnknown) {
        state.check_status = CheckStatus::kUnknown;
        state.health = 0;
        state.suspect = false;
        apply_change(state, {.up = true}, now);
      }
    }
    refresh_backend(proxy, now);
  }
}

const Proxy* Generation::find_proxy(std::string_view name) const {
  for (const Proxy& proxy : proxies) {
    if (proxy.config->name == name) return &proxy;
  }
  return nullptr;
}

const Server* Generation::find_server(std::string_view proxy, std::string_view server) const {
  for (const Proxy& candidate : proxies) {
    if (candidate.config->name != proxy) continue;
    for (const Server& found : candidate.servers) {
      if (found.config->name == server) return &found;
    }
  }
  return nullptr;
}

// HAProxy counts a server in maintenance as down: in chkdown and in downtime.
void apply_change(ServerState& state, const ServerChange& change, Instant now) {
  const auto down = [&state] { return !state.up || state.maintenance; };
  const bool was_down = down();
  bool changed = false;
  const auto set = [&changed](std::atomic<bool>& flag, std::optional<bool> to) {
    if (to && flag.exchange(*to) != *to) changed = true;
  };
  set(state.up, change.up);
  set(state.maintenance, change.maintenance);
  set(state.draining, change.draining);
  if (!changed) return;
  if (was_down && !down()) state.down_total_ns += now.nanoseconds - state.changed_at;
  if (!was_down && down()) state.downs += 1;
  // A change between two kinds of down does not begin the time anew.
  if (!(was_down && down())) state.changed_at = now.nanoseconds;
}

BackendChange refresh_backend(const Proxy& proxy, Instant now) {
  CHECK(proxy.backend != nullptr);
  ProxyState& backend = *proxy.backend;
  backend.generation.fetch_add(1, std::memory_order_release);
  const bool up = any_usable(proxy);
  if (up == backend.up) return BackendChange::kNone;
  backend.up = up;
  if (up) {
    backend.down_total_ns += now.nanoseconds - backend.changed_at;
  } else {
    backend.downs += 1;
  }
  backend.changed_at = now.nanoseconds;
  return up ? BackendChange::kCameUp : BackendChange::kWentDown;
}

void ServerCounters::clear() {
  for (Counter* counter :
       {&sessions, &selected, &bytes_in, &bytes_out, &connect_errors, &response_errors, &retries,
        &redispatches, &client_aborts, &server_aborts, &connects, &reuses, &replays, &requests,
        &queue_time, &connect_time, &response_time, &total_time, &timed}) {
    counter->clear();
  }
  for (Counter& counter : responses) counter.clear();
}

void ProxyCounters::clear() {
  for (Counter* counter : {&connections,     &sessions,         &bytes_in,       &bytes_out,
                           &denied_requests, &denied_responses, &request_errors, &connect_errors,
                           &response_errors, &retries,          &redispatches,   &client_aborts,
                           &server_aborts,   &selected,         &requests,       &intercepted,
                           &connects,        &reuses,           &replays,        &queue_time,
                           &connect_time,    &response_time,    &total_time,     &timed}) {
    counter->clear();
  }
  for (Counter& counter : responses) counter.clear();
}

}  // namespace nines::proxy
