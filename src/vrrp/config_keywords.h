// The tables of keywords, one for each kind of block, and what becomes of each: read, let pass with
// a warning, or refused by name. Internal to the parser.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/suggest.h"
#include "vrrp/config_draft.h"
#include "vrrp/config_reader.h"

namespace nines::vrrp {

enum class Treatment : std::uint8_t {
  kRead,
  kHarmless,     // not used here, and nothing is lost: a warning
  kUnsupported,  // known, and not offered: an error
};

// A keyword of the block that describes a Target.
template <typename Target>
struct Keyword {
  std::string_view name;
  Treatment treatment = Treatment::kRead;
  std::string_view why;  // for kHarmless and kUnsupported: what to know, or to do
  void (*read)(Reader&, Target&, const Statement&) = nullptr;
  bool block = false;  // of kRead: wants a block
};

std::span<const Keyword<ConfigDraft>> top_keywords();
std::span<const Keyword<ConfigDraft>> global_keywords();
std::span<const Keyword<ScriptDraft>> script_keywords();
std::span<const Keyword<InstanceDraft>> instance_keywords();
std::span<const Keyword<InstanceDraft>> authentication_keywords();
std::span<const Keyword<SyncGroupDraft>> sync_group_keywords();
// Of everything that is refused or skipped as a whole: LVS, BFD, tracked files and processes.
std::span<const std::string_view> keywords_of_skipped_blocks();

// "belongs into ...", when it is a keyword of another kind of block; else empty.
std::string home_of(std::string_view keyword);

template <typename Target>
void read_statement(Reader& reader, Target& target, const Statement& statement,
                    std::span<const Keyword<Target>> keywords, std::string_view where) {
  const Word& word = statement.keyword();
  for (const Keyword<Target>& keyword : keywords) {
    if (keyword.name != word.text) continue;
    switch (keyword.treatment) {
      case Treatment::kHarmless:
        reader.warning(word, "'" + word.text + "' is not used").with_help(keyword.why);
        return;
      case Treatment::kUnsupported:
        reader.error(word, "'" + word.text + "' is not supported").with_help(keyword.why);
        return;
      case Treatment::kRead:
        break;
    }
    if (keyword.block && !statement.has_block) {
      reader.error(word, "'" + word.text + "' wants a block").with_help("{ ... }");
      return;
    }
    if (!keyword.block && statement.has_block) {
      reader.error(word, "'" + word.text + "' takes no block");
      return;
    }
    keyword.read(reader, target, statement);
    return;
  }
  std::vector<std::string_view> names;
  names.reserve(keywords.size());
  for (const Keyword<Target>& keyword : keywords) names.push_back(keyword.name);
  auto& error = reader.error(word, "'" + word.text + "' is no keyword of " + std::string(where));
  if (const std::string home = home_of(word.text); !home.empty()) {
    error.with_help(home);
  } else if (const auto near = text::suggest(word.text, names)) {
    error.with_help("did you mean '" + std::string(*near) + "'?");
  }
}

template <typename Target>
void read_block(Reader& reader, Target& target, const Statement& statement,
                std::span<const Keyword<Target>> keywords, std::string_view where) {
  for (const Statement& inner : statement.block) {
    read_statement(reader, target, inner, keywords, where);
  }
}

}  // namespace nines::vrrp
