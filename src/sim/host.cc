// Clocks by integer arithmetic, so that a seed means the same on every machine.
#include "sim/host.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "sim/core.h"

namespace nines::sim {

namespace {

constexpr std::int64_t kBillion = 1'000'000'000;
constexpr std::int64_t kWallBegin = 1'704'067'200 * kBillion;  // 2024-01-01 00:00:00 UTC
constexpr std::uint64_t kUptimeMax = 10'000'000;               // seconds since boot at the start

Endpoint ip_of(std::string_view text) {
  const auto parsed = SocketAddress::parse_ip(text, 0);
  CHECK(parsed.has_value());  // a scenario's own mistake
  return Endpoint::of(*parsed);
}

constexpr std::string_view kSeverityNames[] = {"emergency", "alert",  "critical",      "error",
                                               "warning",   "notice", "informational", "debug"};

}  // namespace

class Process::TraceLog final : public io::Log {
 public:
  TraceLog(Core& core, std::string where) : core_(core), where_(std::move(where)) {}
  void write(io::Severity severity, std::string_view message,
             const std::vector<io::LogField>& fields) override {
    std::string text(kSeverityNames[static_cast<std::size_t>(severity)]);
    text += ": ";
    text += message;
    for (const auto& field : fields) {
      text += ' ';
      text += field.key;
      text += '=';
      text += field.value;
    }
    core_.trace(where_, std::move(text));
  }

 private:
  Core& core_;
  std::string where_;
};

Process::Process(Core& core, Host& host, std::string name, int id)
    : core_(core),
      host_(host),
      name_(std::move(name)),
      id_(id),
      log_(std::make_unique<TraceLog>(core, where())),
      children_(core, *this) {
  add_loop();
}

Process::~Process() { reap(); }

SimLoop& Process::add_loop() {
  loops_.push_back(std::make_unique<SimLoop>(core_, *this));
  return *loops_.back();
}

std::string Process::where() const { return host_.name() + "/" + name_; }

io::Log& Process::log() { return *log_; }
io::Files& Process::files() { return host_.files(); }

void Process::pause() {
  if (!alive_ || paused_) return;
  paused_ = true;
  core_.trace(where(), "stopped");
}

void Process::resume() {
  if (!alive_ || !paused_) return;
  paused_ = false;
  core_.trace(where(), "goes on");
  for (auto& loop : loops_) loop->thaw();
}

void Process::kill(Ending ending) {
  if (!alive_) return;
  alive_ = false;
  core_.trace(where(), "killed");
  for (auto& loop : loops_) loop->die(ending);
  children_.parent_died();
  core_.reap_later(*this);
}

bool Process::take_descriptor() {
  if (descriptors_ >= descriptors_max_) return false;
  ++descriptors_;
  return true;
}

void Process::reap() {
  while (!owned_.empty()) owned_.pop_back();
}

Host::Host(Core& core, std::string name, int index, const std::vector<std::string>& addresses)
    : core_(core),
      name_(std::move(name)),
      index_(index),
      boot_addresses_(addresses),
      local_base_{static_cast<std::int64_t>(1 + core.rng.below(kUptimeMax)) * kBillion},
      true_base_(core.now),
      boot_(local_base_),
      files_(core),
      kernel_(core, *this) {
  for (const auto& address : addresses) add_address(address);
}

Host::~Host() = default;

Process& Host::start(std::string name) {
  CHECK(powered_);
  core_.trace(name_ + "/" + name, "starts");
  processes_.push_back(
      std::make_unique<Process>(core_, *this, std::move(name), core_.process_ids++));
  return *processes_.back();
}

std::vector<Process*> Host::living() const {
  std::vector<Process*> found;
  for (const auto& process : processes_) {
    if (process->alive()) found.push_back(process.get());
  }
  return found;
}

void Host::add_address(std::string_view ip) {
  const Endpoint endpoint = ip_of(ip);
  if (std::find(addresses_.begin(), addresses_.end(), endpoint) == addresses_.end()) {
    addresses_.push_back(endpoint);
  }
  core_.announce(endpoint, *this);
  core_.trace(name_, "has address " + std::string(ip));
}

void Host::remove_address(std::string_view ip) {
  const Endpoint endpoint = ip_of(ip);
  std::erase(addresses_, endpoint);
  core_.withdraw(endpoint, *this);
  core_.trace(name_, "gave up address " + std::string(ip));
}

bool Host::has_address(std::string_view ip) const { return has(ip_of(ip)); }

SocketAddress Host::address(std::uint16_t port) const {
  CHECK(!addresses_.empty());
  return addresses_.front().with_port(port).address();
}

bool Host::has(const Endpoint& endpoint) const {
  return std::find(addresses_.begin(), addresses_.end(), endpoint.with_port(0)) != addresses_.end();
}

std::optional<Endpoint> Host::first_address(SocketAddress::Family family) const {
  for (const auto& address : addresses_) {
    if (address.family == family) return address;
  }
  return std::nullopt;
}

void Host::set_drift(double parts_per_million) {
  local_base_ = local_time();
  true_base_ = core_.now;
  drift_ = std::llround(parts_per_million * 1000);
  core_.settle();  // deadlines lie elsewhere on the true axis now
}

void Host::step_wall_clock(Duration by) {
  wall_offset_ += by;
  core_.trace(name_, "wall clock stepped by " + std::to_string(milliseconds_of(by)) + " ms");
}

Instant Host::local_time() const {
  const std::int64_t elapsed = (core_.now - true_base_).count();
  const auto drifted =
      static_cast<std::int64_t>(static_cast<__int128>(elapsed) * drift_ / kBillion);
  return local_base_ + Duration(elapsed + drifted);
}

WallTime Host::wall_time() const {
  return WallTime{kWallBegin + (local_time() - boot_ + wall_offset_).count()};
}

Instant Host::true_time(Instant local) const {
  const auto wanted = static_cast<__int128>((local - local_base_).count());
  if (wanted <= 0) return true_base_;
  const __int128 rate = kBillion + drift_;
  // Rounding up, and once more for the rounding down in local_time().
  const __int128 elapsed = (wanted * kBillion + rate - 1) / rate + (drift_ == 0 ? 0 : 1);
  return true_base_ + Duration(static_cast<std::int64_t>(elapsed));
}

void Host::pause() {
  for (auto& process : processes_) process->pause();
}

void Host::resume() {
  for (auto& process : processes_) process->resume();
}

void Host::power_cut() {
  if (!powered_) return;
  core_.trace(name_, "power cut");
  for (auto& process : processes_) process->kill(Ending::kSilent);
  kernel_.power_cut();
  files_.power_cut();
  powered_ = false;
}

void Host::power_on() {
  if (powered_) return;
  powered_ = true;
  core_.trace(name_, "power on");
  const auto had = addresses_;
  for (const auto& address : had) core_.withdraw(address, *this);
  addresses_.clear();
  for (const auto& address : boot_addresses_) add_address(address);
}

void Host::set_scheduling_delay(Duration least, Duration most) {
  CHECK(least > 0ns && least <= most);  // no pass at the very instant of its cause: time must move
  scheduling_min_ = least;
  scheduling_max_ = most;
}

Duration Host::scheduling_delay() {
  const auto spread = static_cast<std::uint64_t>((scheduling_max_ - scheduling_min_).count());
  return scheduling_min_ + Duration(static_cast<std::int64_t>(core_.rng.below(spread + 1)));
}

void Host::forget_processes() {
  for (auto& process : processes_) process->reap();
}

const Program* Host::find_program(const std::string& path) const {
  const auto found = programs_.find(path);
  return found == programs_.end() ? nullptr : &found->second;
}

}  // namespace nines::sim
