// Plain blocking system calls. What makes replace() safe is its order: content, fsync, rename,
// fsync of the directory.
#include "io/linux/files.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/descriptor.h"

namespace nines::io {

namespace {

constexpr std::size_t kReadStep = 64u << 10;

Error failure(const std::string& path) { return Error::from_errno(errno, path); }

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Until the end and not by fstat's size: /proc says 0, and a file may grow meanwhile. `read_step`
// reads kReadStep bytes at most, with so many done before, and says how many they were.
template <typename ReadStep>
Result<std::string> read_steps(std::string_view what, ReadStep read_step) {
  std::string content;
  std::size_t size = 0;
  while (true) {
    content.resize(size + kReadStep);
    const ssize_t count = read_step(content.data() + size, size);
    if (count < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno(errno, what);
    }
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
    if (size > Files::kReadMax) {
      return Error(ErrorCode::kExhausted, std::string(what) + ": larger than " +
                                              std::to_string(Files::kReadMax >> 20) + " MiB");
    }
  }
  content.resize(size);
  return content;
}

// Content, owner's mode and durability of a file that has no name of its own yet.
Result<void> fill(int descriptor, std::string_view content, unsigned mode,
                  const std::string& path) {
  TRY(write_all(descriptor, content, path));
  if (::fchmod(descriptor, mode) != 0 || ::fsync(descriptor) != 0) return failure(path);
  return {};
}

Result<void> sync_directory(const std::string& path) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) return failure(path);
  return {};
}

}  // namespace

Result<void> write_all(int descriptor, std::string_view content, std::string_view what) {
  while (!content.empty()) {
    const ssize_t count = ::write(descriptor, content.data(), content.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno(errno, what);
    }
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::string> read_from_begin(int descriptor, std::string_view what) {
  return read_steps(what, [descriptor](char* into, std::size_t done) {
    return ::pread(descriptor, into, kReadStep, static_cast<off_t>(done));
  });
}

Result<std::string> LinuxFiles::read(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return failure(path);
  // Not from an offset: a pipe has none.
  return read_steps(
      path, [&file](char* into, std::size_t) { return ::read(file.get(), into, kReadStep); });
}

Result<std::vector<std::string>> LinuxFiles::list(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(directory.c_str()), &::closedir);
  if (opened == nullptr) return failure(directory);
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* const entry = ::readdir(opened.get());
    if (entry == nullptr) {
      if (errno != 0) return failure(directory);
      break;
    }
    struct stat found {};
    if (::fstatat(::dirfd(opened.get()), entry->d_name, &found, 0) == 0 && S_ISREG(found.st_mode)) {
      names.emplace_back(entry->d_name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool LinuxFiles::is_directory(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

Result<void> LinuxFiles::replace(const std::string& path, std::string_view content, unsigned mode) {
  const std::string directory = directory_of(path);
  const std::size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  std::string beside = directory + "/." + name + ".XXXXXX";
  Descriptor file(::mkostemp(beside.data(), O_CLOEXEC));
  if (!file) return failure(path);
  Result<void> done = fill(file.get(), content, mode, path);
  if (done && ::rename(beside.c_str(), path.c_str()) != 0) done = failure(path);
  if (!done) {
    ::unlink(beside.c_str());
    return done;
  }
  return sync_directory(directory);
}

Result<void> LinuxFiles::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return failure(path);
  return {};
}

}  // namespace nines::io
