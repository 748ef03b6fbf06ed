// What a node must not forget about leases: promises in memory that outlives a process but not a
// boot, the rest on disk. Both are whole or not there: anything else counts as lost.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "cluster/lease.h"
#include "io/linux/descriptor.h"

namespace nines::cluster {

inline constexpr std::string_view kStateFolder = "/var/lib/nines";
inline constexpr std::string_view kMemoryFolder = "/run/nines";  // a tmpfs

// One process at a time: it holds a lock that dies with it. All but write_disk() belong to one
// thread.
class LeaseStore {
 public:
  // Makes both folders when they are missing. kExists: another process holds the lock of one of
  // them. The memory's is the host's: a second daemon with a state folder of its own finds it.
  static Result<LeaseStore> open(std::string state_folder, std::string memory_folder);

  // As they were when it was opened; nothing when lost, of another boot, or never written.
  const std::optional<LeaseDisk>& disk() const { return disk_; }
  const std::optional<LeasePromises>& promises() const { return promises_; }

  // In the kernel's hands when it returns. The space was taken beforehand, so an error is a fault
  // of the host's; what depends on it must not go on.
  Result<void> keep(const lease_effect::KeepAll& all);
  Result<void> keep(const lease_effect::KeepRegister& entry);

  // Fsynced, whole or not at all. From any thread, one at a time.
  Result<void> write_disk(const LeaseDisk& disk) const;

 private:
  LeaseStore(std::string state_folder, std::string memory_folder)
      : state_folder_(std::move(state_folder)), memory_folder_(std::move(memory_folder)) {}
  std::string disk_path() const { return state_folder_ + "/lease.state"; }
  std::string promises_path() const { return memory_folder_ + "/lease.promises"; }
  void read_promises();
  bool map_promises();

  struct Unmap {
    void operator()(char* bytes) const;
  };

  std::string state_folder_, memory_folder_;
  io::Descriptor lock_, memory_lock_;
  io::Descriptor promises_file_;
  std::unique_ptr<char, Unmap> promises_bytes_;  // of that file, shared with the kernel
  std::string boot_id_;
  std::vector<Name> slots_;  // the name whose register is in each
  std::optional<LeaseDisk> disk_;
  std::optional<LeasePromises> promises_;
};

// For tests and for tools: the disk's form, with its checksum. kInvalid for anything that is not
// whole.
std::string encode(const LeaseDisk& disk);
Result<LeaseDisk> decode_disk(std::string_view bytes);

}  // namespace nines::cluster
