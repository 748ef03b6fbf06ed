// The files port on Linux: whole small files, and replacement that survives a crash.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/ports.h"

namespace nines::io {

// All of `content` to a descriptor that blocks, or the errno with `what` before it: a part of it
// may have been written then.
Result<void> write_all(int descriptor, std::string_view content, std::string_view what);

// What a file holds from its begin to its end, wherever its offset stands, which does not move.
// `what` names it in an error; kExhausted beyond kReadMax.
Result<std::string> read_from_begin(int descriptor, std::string_view what);

// No state; safe to use from several threads. replace() leaves nothing behind when it fails; a
// crash in the middle of it may leave a hidden ".NAME.??????" beside the old file. A symbolic link
// at `path` is replaced itself, not what it points to.
class LinuxFiles final : public Files {
 public:
  Result<std::string> read(const std::string& path) override;
  // Links to regular files count as such: configuration is often mounted that way.
  Result<std::vector<std::string>> list(const std::string& directory) override;
  bool is_directory(const std::string& path) override;
  Result<void> replace(const std::string& path, std::string_view content, unsigned mode) override;
  Result<void> remove(const std::string& path) override;
};

}  // namespace nines::io
