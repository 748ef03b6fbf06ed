// Two files. The disk's is small and replaced as a whole. The promises' has a header and a slot of
// fixed size for each name. A slot is written where the kernel keeps it, without a call: several
// dozen times a second. A process that is killed between two of its words leaves a slot whose sum
// is wrong; then all promises count as lost, which costs this voter a wait and nobody a vote.
#include "cluster/lease_store.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/files.h"

namespace nines::cluster {

namespace {

constexpr std::uint64_t kDiskMagic = 0x324553414c4e494eull;      // "NINLASE2"
constexpr std::uint64_t kPromisesMagic = 0x324d4f52504e494eull;  // "NINPROM2"
constexpr std::size_t kHeaderSize = 128;
constexpr std::size_t kSlotSize = 64;
constexpr std::size_t kPromisesSize = kHeaderSize + kSlotSize * kRegistersMax;
constexpr unsigned kFileMode = 0600;
constexpr mode_t kFolderMode = 0755;

// FNV-1a: it tells a torn or foreign file from ours, and is no protection against anybody.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char each : bytes) {
    hash = (hash ^ static_cast<unsigned char>(each)) * 0x100000001b3ull;
  }
  return hash;
}

void put(std::string& out, std::uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put(std::string& out, const Generation& generation) {
  put(out, generation.number);
  put(out, generation.voters.bits());
  put(out, generation.previous.bits());
  put(out, generation.floor);
}

class Taker {
 public:
  explicit Taker(std::string_view bytes) : bytes_(bytes) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    if (bytes_.size() < sizeof value) {
      whole_ = false;
      return 0;
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  Generation generation() {
    Generation generation;
    generation.number = number();
    generation.voters = NodeSet::of_bits(number());
    generation.previous = NodeSet::of_bits(number());
    generation.floor = number();
    return generation;
  }
  bool whole() const { return whole_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool whole_ = true;
};

Result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), kFolderMode) == 0 || errno == EEXIST) return {};
  return Error::from_errno(errno, "cannot make " + path);
}

// Held until the descriptor is closed, by this process's end at the latest.
Result<io::Descriptor> lock_file(const std::string& path) {
  io::Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (!lock) return Error::from_errno(errno, path);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return Error::from_errno(errno, path);
  return Error(ErrorCode::kExists, "another process has this node's leases: it holds " + path);
}

Result<void> write_at(int file, std::string_view bytes, std::size_t offset,
                      const std::string& what) {
  const ssize_t written = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (written == static_cast<ssize_t>(bytes.size())) return {};
  return Error::from_errno(written < 0 ? errno : ENOSPC, what);
}

using Slot = std::array<std::uint64_t, kSlotSize / sizeof(std::uint64_t)>;

std::string_view bytes_of(const Slot& slot) {
  return {reinterpret_cast<const char*>(slot.data()), kSlotSize};
}

Slot encode_slot(const lease_effect::KeepRegister& entry) {
  constexpr std::size_t kWords = 6;  // then their sum; the rest is empty
  Slot slot{entry.name,
            entry.state.promised.value,
            entry.state.accepted.value,
            entry.state.released.value,
            entry.state.round,
            static_cast<std::uint64_t>(entry.state.expires.nanoseconds)};
  slot[kWords] = checksum(bytes_of(slot).substr(0, kWords * sizeof(std::uint64_t)));
  return slot;
}

std::string encode_header(const std::string& boot_id, const LeasePromises& promises) {
  std::string bytes;
  put(bytes, kPromisesMagic);
  put(bytes, promises.floor);
  put(bytes, static_cast<std::uint64_t>(promises.votes_from.nanoseconds));
  put(bytes, std::uint64_t{promises.cold});
  std::string boot = boot_id.substr(0, 64);
  boot.resize(64);
  bytes += boot;
  put(bytes, checksum(bytes));
  bytes.resize(kHeaderSize);
  return bytes;
}

}  // namespace

std::string encode(const LeaseDisk& disk) {
  std::string bytes;
  put(bytes, kDiskMagic);
  put(bytes, disk.mark);
  put(bytes, disk.generation);
  put(bytes, disk.change.promised.value);
  put(bytes, disk.change.accepted.value);
  put(bytes, disk.change.value);
  put(bytes, static_cast<std::uint64_t>(disk.longest_term.count()));
  put(bytes, disk.off.bits());
  put(bytes, disk.awaited.bits());
  put(bytes, checksum(bytes));
  return bytes;
}

Result<LeaseDisk> decode_disk(std::string_view bytes) {
  const Error broken(ErrorCode::kInvalid, "not a whole state of leases");
  constexpr std::size_t kSum = sizeof(std::uint64_t);
  if (bytes.size() < 2 * kSum) return broken;
  std::uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + bytes.size() - kSum, kSum);
  bytes.remove_suffix(kSum);
  if (sum != checksum(bytes)) return broken;
  Taker taker(bytes);
  if (taker.number() != kDiskMagic) return broken;
  LeaseDisk disk;
  disk.mark = taker.number();
  disk.generation = taker.generation();
  disk.change.promised.value = taker.number();
  disk.change.accepted.value = taker.number();
  disk.change.value = taker.generation();
  disk.longest_term = Duration(static_cast<std::int64_t>(taker.number()));
  disk.off = NodeSet::of_bits(taker.number());
  disk.awaited = NodeSet::of_bits(taker.number());
  if (!taker.whole()) return broken;
  return disk;
}

Result<LeaseStore> LeaseStore::open(std::string state_folder, std::string memory_folder) {
  LeaseStore store(std::move(state_folder), std::move(memory_folder));
  TRY(make_folder(store.state_folder_));
  TRY(make_folder(store.memory_folder_));
  store.lock_ = TRY(lock_file(store.state_folder_ + "/lease.lock"));
  store.memory_lock_ = TRY(lock_file(store.memory_folder_ + "/lease.lock"));
  io::LinuxFiles files;
  store.boot_id_ = TRY(files.read("/proc/sys/kernel/random/boot_id"));
  if (const auto bytes = files.read(store.disk_path()); bytes.has_value()) {
    if (auto disk = decode_disk(*bytes); disk.has_value()) store.disk_ = *disk;
  }
  store.read_promises();
  const std::string path = store.promises_path();
  if (!store.promises_) {
    store.promises_bytes_.reset();
    store.promises_file_.reset();
    ::unlink(path.c_str());
  }
  return store;
}

void LeaseStore::read_promises() {
  const std::string path = promises_path();
  promises_file_ = io::Descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!promises_file_) return;
  std::string bytes(kPromisesSize, '\0');
  if (::pread(promises_file_.get(), bytes.data(), bytes.size(), 0) !=
          static_cast<ssize_t>(bytes.size()) ||
      !map_promises()) {
    return;
  }
  LeasePromises promises;
  Taker header(std::string_view(bytes).substr(sizeof kPromisesMagic, 3 * sizeof(std::uint64_t)));
  promises.floor = header.number();
  promises.votes_from.nanoseconds = static_cast<std::int64_t>(header.number());
  promises.cold = header.number() != 0;
  if (bytes.substr(0, kHeaderSize) != encode_header(boot_id_, promises)) return;
  std::vector<Name> slots;
  for (std::size_t i = 0; i < kRegistersMax; ++i) {
    const std::string_view slot =
        std::string_view(bytes).substr(kHeaderSize + i * kSlotSize, kSlotSize);
    if (std::all_of(slot.begin(), slot.end(), [](char each) { return each == 0; })) break;
    std::array<std::uint64_t, 7> words{};
    std::memcpy(words.data(), slot.data(), sizeof words);
    lease_effect::KeepRegister entry;
    entry.name = words[0];
    entry.state.promised.value = words[1];
    entry.state.accepted.value = words[2];
    entry.state.released.value = words[3];
    entry.state.round = words[4];
    entry.state.expires.nanoseconds = static_cast<std::int64_t>(words[5]);
    if (slot != bytes_of(encode_slot(entry))) return;
    slots.push_back(entry.name);
    *promises.add(entry.name) = entry.state;
  }
  slots_ = std::move(slots);
  promises_ = std::move(promises);
}

void LeaseStore::Unmap::operator()(char* bytes) const { ::munmap(bytes, kPromisesSize); }

bool LeaseStore::map_promises() {
  void* const bytes =
      ::mmap(nullptr, kPromisesSize, PROT_READ | PROT_WRITE, MAP_SHARED, promises_file_.get(), 0);
  promises_bytes_.reset(bytes == MAP_FAILED ? nullptr : static_cast<char*>(bytes));
  return promises_bytes_ != nullptr;
}

// A new file that takes the old one's place at once.
Result<void> LeaseStore::keep(const lease_effect::KeepAll& all) {
  const std::string path = promises_path();
  const std::string fresh = path + ".new";
  promises_file_ =
      io::Descriptor(::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
  if (!promises_file_) return Error::from_errno(errno, fresh);
  if (const int error = ::posix_fallocate(promises_file_.get(), 0, off_t{kPromisesSize});
      error != 0) {
    return Error::from_errno(error, fresh);
  }
  if (!map_promises()) return Error::from_errno(errno, fresh);
  TRY(write_at(promises_file_.get(), encode_header(boot_id_, all.promises), 0, fresh));
  slots_.clear();
  for (const auto& [name, state] : all.promises.registers) {
    TRY(keep(lease_effect::KeepRegister{name, state}));
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return Error::from_errno(errno, path);
  return {};
}

Result<void> LeaseStore::keep(const lease_effect::KeepRegister& entry) {
  if (promises_bytes_ == nullptr) return Error(ErrorCode::kInvalid, "nothing was kept before");
  const auto found = std::find(slots_.begin(), slots_.end(), entry.name);
  const auto slot = static_cast<std::size_t>(found - slots_.begin());
  if (slot >= kRegistersMax) return Error(ErrorCode::kExhausted, "no room for one more name");
  const Slot bytes = encode_slot(entry);
  std::memcpy(promises_bytes_.get() + kHeaderSize + slot * kSlotSize, bytes.data(), kSlotSize);
  if (found == slots_.end()) slots_.push_back(entry.name);
  return {};
}

Result<void> LeaseStore::write_disk(const LeaseDisk& disk) const {
  io::LinuxFiles files;
  return files.replace(disk_path(), encode(disk), kFileMode);
}

}  // namespace nines::cluster
