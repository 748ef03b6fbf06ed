// A file that is replaced whole, under a lock on the folder.
#include "galera/claim.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>

#include "io/linux/descriptor.h"
#include "io/linux/files.h"

namespace nines::galera {

namespace {

std::string path_in(const std::string& folder) { return folder + '/' + std::string(kClaimFile); }

Result<io::Descriptor> lock(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Error(ErrorCode::kSystem, folder + ": " + error.message());
  io::Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return Error::from_errno(errno, folder);
  while (::flock(opened.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return Error::from_errno(errno, "lock " + folder);
  }
  return opened;
}

}  // namespace

bool is_run_name(std::string_view run) {
  return !run.empty() && run.size() <= kRunMax && std::all_of(run.begin(), run.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  });
}

bool may_claim(std::string_view holder, std::string_view run,
               std::span<const std::string> earlier) {
  return holder.empty() || holder == run ||
         std::find(earlier.begin(), earlier.end(), holder) != earlier.end();
}

Result<std::string> claim_holder(const std::string& folder) {
  io::LinuxFiles files;
  auto text = files.read(path_in(folder));
  if (!text && text.error().code() == ErrorCode::kNotFound) return std::string();
  if (!text) return text.error();
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

Result<void> take_claim(const std::string& folder, const std::string& run,
                        std::span<const std::string> earlier) {
  const io::Descriptor locked = TRY(lock(folder));
  const std::string holder = TRY(claim_holder(folder));
  if (!may_claim(holder, run, earlier)) {
    return Error(ErrorCode::kRefused,
                 "the recovery " + holder +
                     " has it in its hands; where that began, 'nines galera "
                     "recover' goes on with it; if it is gone for good, remove " +
                     path_in(folder));
  }
  io::LinuxFiles files;
  return files.replace(path_in(folder), run + '\n', 0644);
}

Result<void> release_claim(const std::string& folder, const std::string& run,
                           std::span<const std::string> earlier) {
  const io::Descriptor locked = TRY(lock(folder));
  const std::string holder = TRY(claim_holder(folder));
  if (holder.empty() || !may_claim(holder, run, earlier)) return {};
  io::LinuxFiles files;
  return files.remove(path_in(folder));
}

}  // namespace nines::galera
