// A child for each call; a shell's word is checked before it can become another one.
#include "galera/peers.h"

#include <algorithm>

#include "base/check.h"

namespace nines::galera {

namespace {

bool is_plain(const std::string& word) {
  constexpr std::string_view kMarks = "-_./:";
  return !word.empty() && std::all_of(word.begin(), word.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != kMarks.npos;
  });
}

}  // namespace

void Peers::run(const std::string& member, std::vector<std::string> arguments, Duration patience,
                Done done) {
  const auto found = std::find_if(commands_.begin(), commands_.end(),
                                  [&](const PeerCommand& each) { return each.member == member; });
  CHECK(found != commands_.end());
  const auto fail = [&](Error error) {
    loop_.post([done = std::move(done), error = std::move(error)] { done(error); });
  };
  if (found->words.empty()) {
    return fail(
        Error(ErrorCode::kUnreachable, "there is no way to its host: say 'reach' in nines.yaml"));
  }
  for (const std::string& word : arguments) {
    if (is_plain(word)) continue;
    return fail(Error(ErrorCode::kInvalid, "a shell may misunderstand '" + word + "'"));
  }
  std::vector<std::string> words = found->words;
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::uint64_t id = ++last_;
  auto child =
      Child::start(loop_, processes_, std::move(words), patience, [this, id, done](ChildEnd end) {
        children_.erase(id);
        if (end.is_good()) return done(std::move(end.output));
        done(Error(ErrorCode::kUnavailable, end.text()));
      });
  if (!child) return fail(child.error());
  children_[id] = std::move(*child);
}

}  // namespace nines::galera
