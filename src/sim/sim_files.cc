// A file is its text now and the text that a power cut may bring back.
#include "sim/sim_files.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sim/core.h"

namespace nines::sim {

Result<std::string> SimFiles::read(const std::string& path) {
  const auto found = files_.find(path);
  if (found == files_.end() || !found->second.now) return Error::from_errno(ENOENT, path);
  if (found->second.now->size() > kReadMax) return Error::from_errno(EFBIG, path);
  return *found->second.now;
}

Result<std::vector<std::string>> SimFiles::list(const std::string& directory) {
  if (!is_directory(directory)) return Error::from_errno(ENOENT, directory);
  const std::string prefix = directory.ends_with('/') ? directory : directory + "/";
  std::vector<std::string> names;
  for (const auto& [path, file] : files_) {
    if (!file.now || !path.starts_with(prefix)) continue;
    std::string name = path.substr(prefix.size());
    if (name.find('/') == std::string::npos) names.push_back(std::move(name));
  }
  return names;  // the map is sorted bytewise
}

bool SimFiles::is_directory(const std::string& path) {
  const std::string prefix = path.ends_with('/') ? path : path + "/";
  return std::any_of(files_.begin(), files_.end(),
                     [&](const auto& entry) { return entry.first.starts_with(prefix); });
}

Result<void> SimFiles::replace(const std::string& path, std::string_view content, unsigned) {
  if (full_) return Error(ErrorCode::kExhausted, path + ": no space left on the disk", ENOSPC);
  change(path, std::string(content), false);
  return {};
}

Result<void> SimFiles::remove(const std::string& path) {
  const auto found = files_.find(path);
  if (found == files_.end() || !found->second.now) return Error::from_errno(ENOENT, path);
  change(path, std::nullopt, false);
  return {};
}

void SimFiles::write_carelessly(const std::string& path, std::string_view content) {
  change(path, std::string(content), true);
}

void SimFiles::change(const std::string& path, std::optional<std::string> content, bool careless) {
  File& file = files_[path];
  const bool pending = file.changed != Instant{} && core_.now - file.changed < kCommit;
  if (!pending) file.before = file.now;
  file.now = std::move(content);
  file.changed = core_.now;
  file.careless = careless;
}

void SimFiles::sync() {
  for (auto& [path, file] : files_) file.changed = Instant{};
}

void SimFiles::power_cut() {
  for (auto& [path, file] : files_) {
    const Instant changed = std::exchange(file.changed, Instant{});
    if (changed == Instant{} || core_.now - changed >= kCommit) continue;
    if (file.careless && file.now) {
      file.now->resize(static_cast<std::size_t>(core_.rng.below(file.now->size() + 1)));
    } else if (core_.rng.chance(0.5)) {
      file.now = file.before;
    }
  }
}

}  // namespace nines::sim
