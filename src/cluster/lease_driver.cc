// An event is handled to its last effect before the next one: nothing here calls back into
// handle().
#include "cluster/lease_driver.h"

#include <type_traits>
#include <utility>

#include "base/check.h"

namespace nines::cluster {

namespace {

constexpr Duration kDiskRetryPause = std::chrono::milliseconds(200);

}  // namespace

LeaseDriver::LeaseDriver(Lease machine, LeaseStore store, io::Loop& loop, Clock clock,
                         LeasePeers& peers, LeaseHolder& holder, io::Log& log)
    : machine_(std::move(machine)),
      store_(std::move(store)),
      loop_(loop),
      clock_(std::move(clock)),
      peers_(peers),
      holder_(holder),
      log_(log) {
  disk_ = std::make_unique<DiskThread>(
      store_, [this, alive = alive_](std::uint64_t sequence, const Result<void>& result) {
        loop_.post([this, alive, sequence, result] {
          if (*alive) disk_written(sequence, result);
        });
      });
}

LeaseDriver::~LeaseDriver() {
  *alive_ = false;
  disk_.reset();  // waits for the write under way
}

void LeaseDriver::start(std::uint64_t nonce) {
  lease_event::Start start;
  start.disk = store_.disk();
  start.promises = store_.promises();
  start.nonce = nonce;
  handle(start);
}

void LeaseDriver::want(Name name, bool wanted, Duration patience) {
  handle(lease_event::Want{name, wanted, patience});
}

void LeaseDriver::handle(const LeaseEvent& event) {
  CHECK(!std::exchange(handling_, true));
  effects_.clear();
  machine_.handle(event, clock_(), effects_);
  for (const LeaseEffect& effect : effects_) perform(effect);
  handling_ = false;
  if (const auto deadline = machine_.deadline()) {
    loop_.arm(*this, *deadline);
  } else {
    cancel();
  }
}

void LeaseDriver::perform(const LeaseEffect& effect) {
  std::visit(
      [this](const auto& one) {
        using Effect = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<Effect, lease_effect::Send>) {
          peers_.send(one.to, one.message);
        } else if constexpr (std::is_same_v<Effect, lease_effect::KeepAll> ||
                             std::is_same_v<Effect, lease_effect::KeepRegister>) {
          kept(store_.keep(one));
        } else if constexpr (std::is_same_v<Effect, lease_effect::WriteDisk>) {
          disk_->write(one.sequence, one.disk);
        } else if constexpr (std::is_same_v<Effect, lease_effect::Acquired>) {
          log_.write(io::Severity::kNotice, "a lease is held",
                     {{"epoch", std::to_string(one.epoch)}});
          holder_.hold(one.name, one.epoch, one.until, false);
        } else if constexpr (std::is_same_v<Effect, lease_effect::Renewed>) {
          holder_.hold(one.name, one.epoch, one.until, true);
        } else if constexpr (std::is_same_v<Effect, lease_effect::Lost>) {
          holder_.let_go(one.name);
          log_.write(
              io::Severity::kNotice, "a lease is held no longer",
              {{"epoch", std::to_string(one.epoch)}, {"reason", std::string(name_of(one.reason))}});
        } else if constexpr (std::is_same_v<Effect, lease_effect::Shut>) {
          holder_.let_go(one.name);
        } else if constexpr (std::is_same_v<Effect, lease_effect::HeardThoughOff>) {
          log_.write(io::Severity::kWarning, "a node that was said to be powered off is heard",
                     {{"node", std::to_string(one.node)}});
        } else if constexpr (std::is_same_v<Effect, lease_effect::VotersChanged>) {
          log_.write(io::Severity::kNotice, "the voters have changed",
                     {{"generation", std::to_string(one.generation.number)},
                      {"voters", std::to_string(one.generation.voters.size())}});
        }
      },
      effect);
}

// A promise that was not kept must not be given: this process ends before the vote leaves, and the
// next one finds what was kept before.
void LeaseDriver::kept(const Result<void>& result) {
  if (result.has_value()) return;
  log_.write(io::Severity::kCritical, "a promise cannot be kept: " + result.error().message());
  CHECK(!"promises are kept in memory that was set aside");
}

void LeaseDriver::disk_written(std::uint64_t sequence, const Result<void>& result) {
  if (result.has_value()) {
    if (std::exchange(disk_failures_, 0) != 0) {
      log_.write(io::Severity::kNotice, "the state of leases is on the disk again");
    }
    disk_told_ = Instant{};
    return handle(lease_event::DiskWritten{sequence});
  }
  ++disk_failures_;
  const Instant now = clock_();
  if (disk_told_ != Instant{} && now - disk_told_ < kDiskComplaintEvery) return;
  disk_told_ = now;
  log_.write(io::Severity::kError,
             "the state of leases cannot be written, and nothing new is granted without it: " +
                 result.error().message(),
             {{"failures", std::to_string(disk_failures_)}});
}

LeaseDriver::DiskThread::DiskThread(const LeaseStore& store,
                                    std::function<void(std::uint64_t, Result<void>)> written)
    : store_(store), written_(std::move(written)), thread_([this] { run(); }) {}

LeaseDriver::DiskThread::~DiskThread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void LeaseDriver::DiskThread::write(std::uint64_t sequence, const LeaseDisk& disk) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({sequence, disk});
  }
  news_.notify_one();
}

void LeaseDriver::DiskThread::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    news_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
    if (ending_) return;
    const Job job = jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    auto result = store_.write_disk(job.disk);
    const bool good = result.has_value();
    written_(job.sequence, std::move(result));
    lock.lock();
    if (good) continue;
    // A failed write is tried again, before those that came after it.
    jobs_.push_front(job);
    news_.wait_for(lock, kDiskRetryPause, [this] { return ending_; });
  }
}

}  // namespace nines::cluster
