// io::Files in memory, with what a power cut does to a disk: the newest replacements may be undone,
// what was never synced may be torn.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "io/ports.h"

namespace nines::sim {

class Core;

class SimFiles final : public io::Files {
 public:
  // A journal's commit interval: a rename older than this survives a power cut.
  static constexpr Duration kCommit = 5s;

  explicit SimFiles(Core& core) : core_(core) {}

  Result<std::string> read(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  bool is_directory(const std::string& path) override;
  Result<void> replace(const std::string& path, std::string_view content, unsigned mode) override;
  Result<void> remove(const std::string& path) override;

  // What a careless program or an editor does: written in place, not synced.
  void write_carelessly(const std::string& path, std::string_view content);
  // All of it is on the disk now, as after sync(2).
  void sync();
  // replace() answers "no space left" meanwhile.
  void set_full(bool full) { full_ = full; }

  // Each replacement or removal younger than kCommit is undone or not, by the seed, and what was
  // written carelessly keeps a prefix of it.
  void power_cut();

 private:
  struct File {
    std::optional<std::string> now;     // empty: removed
    std::optional<std::string> before;  // what a power cut may bring back
    Instant changed{};                  // zero: `now` is on the disk for good
    bool careless = false;
  };
  void change(const std::string& path, std::optional<std::string> content, bool careless);

  Core& core_;
  bool full_ = false;
  std::map<std::string, File> files_;
};

}  // namespace nines::sim
