// The shape of a keyword table: a name, where it may stand, and either what reads it or what to say
// to somebody who uses it. Every keyword of the HAProxy 2.6 manual is in a table, so that one which
// is only not supported is never taken for a typing mistake. Internal to the parser.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config_keywords.h"
#include "proxy/config_statement.h"

namespace nines::proxy {

// Where a proxy keyword may stand: section 4.1's matrix. A listen has both capabilities.
inline constexpr unsigned kInDefaults = 1, kInNamedDefaults = 2, kInFrontend = 4, kInBackend = 8;
inline constexpr unsigned kAnywhere = kInDefaults | kInFrontend | kInBackend;

inline constexpr int kAllTheRest = -1;

template <typename Context>
struct Keyword {
  std::string_view name;
  unsigned where = kAnywhere;
  void (*handler)(Context&, Statement&) = nullptr;  // null unless supported
  KeywordSupport support = KeywordSupport::kSupported;
  std::string_view advice = {};  // harmless: why; removed and unsupported: what to do
  int arguments = kAllTheRest;   // harmless: how many words to pass over
};

template <typename Context>
constexpr Keyword<Context> harmless(std::string_view name, unsigned where, std::string_view why,
                                    int arguments = kAllTheRest) {
  return {name, where, nullptr, KeywordSupport::kHarmless, why, arguments};
}
template <typename Context>
constexpr Keyword<Context> unsupported(std::string_view name, unsigned where,
                                       std::string_view advice) {
  return {name, where, nullptr, KeywordSupport::kUnsupported, advice};
}
// HAProxy 2.6 itself refuses it.
template <typename Context>
constexpr Keyword<Context> removed(std::string_view name, unsigned where, std::string_view advice) {
  return {name, where, nullptr, KeywordSupport::kRemoved, advice};
}

template <typename Context>
const Keyword<Context>* find_keyword(std::span<const Keyword<Context>> table,
                                     std::string_view name) {
  for (const Keyword<Context>& keyword : table) {
    if (keyword.name == name) return &keyword;
  }
  return nullptr;
}

// What to say about a keyword that has no handler. Passes over the rest of the statement, or over
// the arguments of a harmless one.
void answer_without_handler(Statement& statement, const Word& word, std::string_view name,
                            KeywordSupport support, std::string_view advice,
                            int arguments = kAllTheRest);

// "unknown KIND 'x' in PLACE; did you mean 'y'?"
void answer_unknown(Statement& statement, const Word& word, std::string_view kind,
                    std::string_view place, std::span<const std::string_view> candidates);

template <typename Context>
std::vector<std::string_view> keyword_names(std::span<const Keyword<Context>> table) {
  std::vector<std::string_view> names;
  for (const Keyword<Context>& keyword : table) {
    if (keyword.support != KeywordSupport::kRemoved) names.push_back(keyword.name);
  }
  return names;
}

// Reads one statement whose keyword is statement.keyword(): calls its handler, or answers.
template <typename Context>
const Keyword<Context>* dispatch(std::span<const Keyword<Context>> table, Context& context,
                                 Statement& statement, std::string_view kind,
                                 std::string_view place) {
  const Word& word = statement.keyword();
  const Keyword<Context>* keyword = find_keyword(table, word.text);
  if (keyword == nullptr) {
    answer_unknown(statement, word, kind, place, keyword_names(table));
  } else if (keyword->handler == nullptr) {
    answer_without_handler(statement, word, statement.name(), keyword->support, keyword->advice,
                           keyword->arguments);
  } else {
    keyword->handler(context, statement);
  }
  return keyword;
}

// Adds a table to the public list, each name behind `prefix`.
template <typename Context>
void list_keywords(std::span<const Keyword<Context>> table, std::string_view prefix,
                   std::vector<KeywordInfo>& out) {
  for (const Keyword<Context>& keyword : table) {
    out.push_back({std::string(prefix) + std::string(keyword.name), keyword.support,
                   std::string(keyword.advice)});
  }
}

}  // namespace nines::proxy
