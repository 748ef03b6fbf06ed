// What an instance and a sync group have in common: what they track, and whom they tell.
#include <array>

#include "vrrp/config_draft.h"

namespace nines::vrrp {

namespace {

constexpr int kTrackWeightMax = 253;

}  // namespace

// "NAME [weight N [reverse|noreverse]]".
void read_tracks(Reader& reader, const Statement& statement, std::vector<TrackDraft>& out) {
  for (const Statement& line : statement.block) {
    TrackDraft track;
    track.name = line.keyword();
    bool good = !line.has_block;
    if (!good) reader.error(line.keyword(), "a tracked name takes no block");
    for (std::size_t i = 1; i < line.words.size() && good; ++i) {
      const Word& word = line.words[i];
      if (word.text == "weight") {
        if (i + 1 == line.words.size()) {
          reader.error(word, "'weight' wants a number");
          good = false;
        } else {
          track.weight = reader.integer(line.words[++i], -kTrackWeightMax, kTrackWeightMax);
          good = track.weight.has_value();
        }
      } else if (word.text == "reverse") {
        track.reverse = true;
      } else if (word.text == "noreverse" || word.text == "no_reverse") {
        track.reverse = false;
      } else {
        reader.error(word, "a tracked name knows no such word")
            .with_found(word.text)
            .with_allowed("weight N, reverse, noreverse")
            .with_help("each name stands in a line of its own");
        good = false;
      }
    }
    if (good) out.push_back(std::move(track));
  }
}

void read_notification(Reader& reader, Notifications& notifications, const Statement& statement) {
  struct Named {
    std::string_view keyword;
    Command Notifications::*command;
  };
  static constexpr std::array<Named, 7> kCommands{{
      {"notify_master", &Notifications::master},
      {"notify_backup", &Notifications::backup},
      {"notify_fault", &Notifications::fault},
      {"notify_stop", &Notifications::stop},
      {"notify_deleted", &Notifications::deleted},
      {"notify_master_rx_lower_pri", &Notifications::master_rx_lower_priority},
      {"notify", &Notifications::any},
  }};
  for (const Named& named : kCommands) {
    if (named.keyword != statement.keyword().text) continue;
    // Without a command it changes a word in a message that is never sent here.
    if (named.keyword == "notify_deleted" && statement.words.size() == 1) {
      reader.warning(statement.keyword(), "'notify_deleted' without a command is not used");
      return;
    }
    auto command = reader.notify_command(statement);
    if (!command) return;
    if (!(notifications.*named.command).empty()) {
      reader.complaint(statement.keyword(),
                       "'" + statement.keyword().text + "' was said before; the first one is kept");
      return;
    }
    notifications.*named.command = std::move(*command);
  }
}

}  // namespace nines::vrrp
