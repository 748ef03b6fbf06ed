// Its lines go to the log as they come; what it refuses for goes to the manager as well.
#include "recovery_child.h"

#include <utility>
#include <vector>

namespace nines {

namespace {

constexpr int kNotBegun = 3;
constexpr std::string_view kRefused = "REFUSED: ";

}  // namespace

void RecoveryChild::begin(const std::string& config_path, const std::string& why, Ended ended) {
  if (child_) return;
  line_.clear();
  words_.clear();
  log_.write(io::Severity::kWarning, "galera: a recovery begins by itself, of " + why);
  auto child = galera::Child::start(
      loop_, processes_, {"/proc/self/exe", "galera", "recover", "--automatic", "-c", config_path},
      kLifeMax, [this, ended](const galera::ChildEnd& end) {
        // Not within its own callback.
        loop_.post([this, ended, good = end.is_good(), text = end.text()] {
          child_.reset();
          ended(good ? 0 : 1, words_.empty() && !good ? "the recovery " + text : words_);
        });
      });
  if (!child) {
    loop_.post([ended, text = child.error().message()] { ended(kNotBegun, text); });
    return;
  }
  child_ = std::move(*child);
  child_->set_heard([this](std::string_view bytes) { heard(bytes); });
}

void RecoveryChild::heard(std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n') {
      say(std::exchange(line_, {}));
    } else if (line_.size() < kLineMax) {
      line_ += c;
    }
  }
}

void RecoveryChild::say(const std::string& line) {
  log_.write(io::Severity::kNotice, "galera recovery: " + line);
  const auto refused = line.find(kRefused);
  if (refused == line.npos && words_.empty()) return;
  // "     0.9 s  " is before each.
  const auto begin = refused != line.npos ? refused : line.find("go on all the same");
  if (begin == line.npos || words_.size() + line.size() > kWordsMax) return;
  words_ += (words_.empty() ? "" : "\n") + line.substr(begin);
}

}  // namespace nines
