// Made and removed, and the folder fsynced, so that a power-cut does not undo what was answered.
#include "maintenance_mark.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "io/linux/descriptor.h"

namespace nines {

namespace {

std::string mark_in(const std::string& state) { return state + "/maintenance"; }

}  // namespace

Result<bool> is_in_maintenance(const std::string& state) {
  if (::access(mark_in(state).c_str(), F_OK) == 0) return true;
  if (errno == ENOENT) return false;
  return Error::from_errno(errno, mark_in(state));
}

Result<void> set_in_maintenance(const std::string& state, bool on) {
  const std::string mark = mark_in(state);
  if (on) {
    const io::Descriptor made(::open(mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!made) return Error::from_errno(errno, mark);
  } else if (::unlink(mark.c_str()) != 0 && errno != ENOENT) {
    return Error::from_errno(errno, mark);
  }
  const io::Descriptor folder(::open(state.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return Error::from_errno(errno, state);
  return {};
}

}  // namespace nines
