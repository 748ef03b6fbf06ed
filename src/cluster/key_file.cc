// Owner and mode are asked of the open file, so that they are those of what is read.
#include "cluster/key_file.h"

#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/descriptor.h"
#include "io/linux/files.h"

namespace nines::cluster {

namespace {

// Text that holds a key; wiped when it goes.
struct KeyText {
  std::string bytes;
  ~KeyText() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
};

std::string mode_text(unsigned mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", mode & 07777);
  return text;
}

Result<void> check_owner_and_mode(const struct stat& found, const std::string& path) {
  if (!S_ISREG(found.st_mode)) return Error(ErrorCode::kInvalid, "is not a regular file");
  if (found.st_uid != 0 && found.st_uid != ::geteuid()) {
    return Error(ErrorCode::kRefused, "belongs to user " + std::to_string(found.st_uid) +
                                          ", who could change it: chown root " + path);
  }
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Error(ErrorCode::kRefused, "holds the cluster's key and is open to others (mode " +
                                          mode_text(found.st_mode) + "): chmod 0600 " + path);
  }
  return {};
}

Result<ClusterKeys> read_keys(const std::string& path) {
  // Without waiting: what is there may be a pipe.
  const io::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file && errno == ENOENT) {
    return Error(ErrorCode::kNotFound, "is not there; make it with 'nines cluster keygen " + path +
                                           "' on one controller, and copy it to the others");
  }
  if (!file) return Error::from_errno(errno, "cannot be opened");
  struct stat found = {};
  if (::fstat(file.get(), &found) != 0) return Error::from_errno(errno, "cannot be looked at");
  TRY(check_owner_and_mode(found, path));
  KeyText text{std::string(kKeyFileMax + 1, '\0')};
  std::size_t size = 0;
  while (size < text.bytes.size()) {
    const ssize_t count = ::read(file.get(), text.bytes.data() + size, text.bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "cannot be read");
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  return parse_keys(std::string_view(text.bytes).substr(0, size));
}

Result<ClusterKey> random_key() {
  Secret secret;
  std::size_t filled = 0;
  while (filled < kSecretSize) {
    const ssize_t count = ::getrandom(secret.bytes().data() + filled, kSecretSize - filled, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "the kernel gives no random bytes");
    filled += static_cast<std::size_t>(count);
  }
  return make_key(secret);
}

Result<void> write_to_disk(int file, std::string_view text) {
  TRY(io::write_all(file, text, "cannot be written"));
  if (::fsync(file) != 0) return Error::from_errno(errno, "cannot be brought to the disk");
  return {};
}

Result<ClusterKey> create_key(const std::string& path) {
  const ClusterKey key = TRY(random_key());
  // A link that stands there counts as something, wherever it leads.
  const io::Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file && errno == EEXIST) {
    return Error(ErrorCode::kExists, "is there already, and is left as it is");
  }
  if (!file) return Error::from_errno(errno, "cannot be created");
  // The umask may only have taken away; what it left is made certain.
  Result<void> done;
  if (::fchmod(file.get(), 0600) != 0) done = Error::from_errno(errno, "cannot be made private");
  const KeyText text{key_file_text(key)};
  if (done) done = write_to_disk(file.get(), text.bytes);
  if (!done) {
    ::unlink(path.c_str());
    return Error(std::move(done).error());
  }
  return key;
}

Result<ClusterKey> add_key(const std::string& path) {
  const ClusterKeys there = TRY(read_keys(path));
  if (there.size() >= kKeysMax) {
    return Error(ErrorCode::kExists, "holds two keys already: take the old one out first");
  }
  io::LinuxFiles files;
  KeyText text{TRY(files.read(path))};
  const ClusterKey key = TRY(random_key());
  if (!text.bytes.ends_with('\n')) text.bytes += '\n';
  text.bytes += KeyText{key_file_text(key)}.bytes;
  TRY(parse_keys(text.bytes));  // comments may have filled it
  TRY(files.replace(path, text.bytes, 0600));
  return key;
}

}  // namespace

Result<ClusterKey> add_key_to_file(const std::string& path) {
  auto key = add_key(path);
  if (!key) return std::move(key).error().with_context(path);
  return key;
}

Result<ClusterKeys> read_key_file(const std::string& path) {
  auto keys = read_keys(path);
  if (!keys) return std::move(keys).error().with_context(path);
  return keys;
}

Result<ClusterKey> create_key_file(const std::string& path) {
  auto key = create_key(path);
  if (!key) return std::move(key).error().with_context(path);
  return key;
}

}  // namespace nines::cluster
