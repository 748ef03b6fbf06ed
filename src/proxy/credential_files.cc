// The mode is asked of the open file, so that it is that of what is read.
#include "proxy/credential_files.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/descriptor.h"

namespace nines::proxy {

Result<std::string> read_credential_file(const std::string& path) {
  // Without waiting: what is there may be a pipe.
  const io::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) return Error::from_errno(errno, "cannot be opened");
  struct stat found = {};
  if (::fstat(file.get(), &found) != 0) return Error::from_errno(errno, "cannot be looked at");
  if (!S_ISREG(found.st_mode)) return Error(ErrorCode::kInvalid, "is not a regular file");
  if ((found.st_mode & S_IRWXO) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(found.st_mode & 07777));
    return Error(ErrorCode::kRefused, "holds a password and is open to everybody (mode " +
                                          std::string(mode) + "): chmod o= " + path);
  }
  std::string content(kCredentialFileMax + 1, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::read(file.get(), content.data() + size, content.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "cannot be read");
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  content.resize(size);  // too large: the parser says so
  return content;
}

CredentialTexts read_credential_files(std::span<const std::string> paths) {
  CredentialTexts texts;
  for (const std::string& path : paths) {
    if (!texts.contains(path)) texts.emplace(path, read_credential_file(path));
  }
  return texts;
}

}  // namespace nines::proxy
