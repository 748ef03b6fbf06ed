// vrrp_script and vrrp_sync_group.
#include "vrrp/config_keywords.h"

namespace nines::vrrp {

namespace {

using enum Treatment;

constexpr int kScriptSecondsMax = 1'000'000;
constexpr int kScriptCountMax = 1'000'000;
constexpr int kScriptWeightMax = 253;

void read_command(Reader& reader, ScriptDraft& draft, const Statement& statement) {
  if (statement.words.size() < 2) {
    reader.error(statement.keyword(), "'script' wants a command");
    return;
  }
  Command& command = draft.script.command;
  if (!command.empty()) {
    reader.warning(statement.keyword(), "'script' was said before; the last one counts");
  }
  command.words = reader.command_words(statement.words[1]);
  command.place = reader.place(statement.keyword());
  // Arguments may stand without quotes.
  for (std::size_t i = 2; i < statement.words.size() && !command.words.empty(); ++i) {
    command.words.push_back(statement.words[i].text);
  }
}

void read_weight(Reader& reader, ScriptDraft& draft, const Statement& statement) {
  if (statement.words.size() < 2) {
    reader.error(statement.keyword(), "'weight' wants a number");
    return;
  }
  const auto weight = reader.integer(statement.words[1], -kScriptWeightMax, kScriptWeightMax);
  if (weight) draft.script.weight = *weight;
  if (statement.words.size() > 2) {
    if (statement.words[2].text == "reverse") {
      draft.script.weight_reverse = true;
    } else {
      reader.error(statement.words[2], "behind a weight stands 'reverse', or nothing")
          .with_found(statement.words[2].text);
    }
  }
  reader.end(statement, 3);
}

void read_user(Reader& reader, ScriptDraft& draft, const Statement& statement) {
  if (statement.words.size() < 2) {
    reader.error(statement.keyword(), "'user' wants a name");
    return;
  }
  draft.script.command.user = statement.words[1].text;
  if (statement.words.size() > 2) draft.script.command.group = statement.words[2].text;
  reader.end(statement, 3);
}

template <int VrrpScript::*Field>
void read_count(Reader& reader, ScriptDraft& draft, const Statement& statement) {
  if (const auto count = reader.integer(statement, 1, kScriptCountMax)) {
    draft.script.*Field = *count;
  }
}

constexpr Keyword<ScriptDraft> kScript[] = {
    {"script", kRead, {}, read_command},
    {"interval",
     kRead,
     {},
     [](Reader& reader, ScriptDraft& draft, const Statement& statement) {
       if (const auto value = reader.integer(statement, 1, kScriptSecondsMax)) {
         draft.script.interval = std::chrono::seconds(*value);
       }
     }},
    {"timeout",
     kRead,
     {},
     [](Reader& reader, ScriptDraft& draft, const Statement& statement) {
       if (const auto value = reader.integer(statement, 0, kScriptSecondsMax)) {
         draft.script.timeout = std::chrono::seconds(*value);
       }
     }},
    {"weight", kRead, {}, read_weight},
    {"rise", kRead, {}, read_count<&VrrpScript::rise>},
    {"fall", kRead, {}, read_count<&VrrpScript::fall>},
    {"user", kRead, {}, read_user},
    {"init_fail",
     kRead,
     {},
     [](Reader& reader, ScriptDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       draft.script.init_fail = true;
     }},
};

void notify(Reader& reader, SyncGroupDraft& draft, const Statement& statement) {
  read_notification(reader, draft.group.notifications, statement);
}

constexpr std::string_view kUseScript = "use a vrrp_script and track_script";

constexpr Keyword<SyncGroupDraft> kSyncGroup[] = {
    {"group",
     kRead,
     {},
     [](Reader& reader, SyncGroupDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       for (const Statement& line : statement.block) {
         for (const Word& word : line.words) draft.members.push_back(word);
       }
     },
     true},
    {"track_script",
     kRead,
     {},
     [](Reader& reader, SyncGroupDraft& draft, const Statement& statement) {
       read_tracks(reader, statement, draft.track_scripts);
     },
     true},
    {"track_interface",
     kRead,
     {},
     [](Reader& reader, SyncGroupDraft& draft, const Statement& statement) {
       read_tracks(reader, statement, draft.track_interfaces);
     },
     true},
    {"sync_group_tracking_weight",
     kRead,
     {},
     [](Reader& reader, SyncGroupDraft& draft, const Statement& statement) {
       reader.end(statement, 1);
       draft.group.tracking_weight = true;
     }},
    {"notify_master", kRead, {}, notify},
    {"notify_backup", kRead, {}, notify},
    {"notify_fault", kRead, {}, notify},
    {"notify_stop", kRead, {}, notify},
    {"notify_deleted", kRead, {}, notify},
    {"notify", kRead, {}, notify},
    {"smtp_alert",
     kRead,
     {},
     [](Reader& reader, SyncGroupDraft&, const Statement& statement) {
       const auto on = reader.boolean(statement);
       if (on && *on) {
         reader.warning(statement.keyword(), "'smtp_alert' is not used")
             .with_help("nines sends no mail; use notify scripts");
       }
     }},
    {"notify_priority_changes", kHarmless, "they are told to FIFOs only, and there are none"},
    {"global_tracking", kHarmless, "it is deprecated; write track_script within the group"},
    {"track_file", kUnsupported, kUseScript},
    {"track_process", kUnsupported, kUseScript},
    {"track_bfd", kUnsupported, kUseScript},
};

}  // namespace

std::span<const Keyword<ScriptDraft>> script_keywords() { return kScript; }
std::span<const Keyword<SyncGroupDraft>> sync_group_keywords() { return kSyncGroup; }

}  // namespace nines::vrrp
