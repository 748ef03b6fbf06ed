// The keywords that real OpenStack deployments use, counted by project in
// testdata/haproxy-keywords.tsv: each must at least be known, so that nobody is told that a word
// of HAProxy's language is a typing mistake.
#include "proxy/config_keywords.h"

#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "proxy/config_sample_names.h"

namespace nines::proxy {
namespace {

std::map<std::string, KeywordSupport> support_by_name() {
  std::map<std::string, KeywordSupport> out;
  for (const KeywordInfo& info : known_keywords()) {
    out.emplace(info.name, info.support);
    constexpr std::string_view kGlobal = "global: ";
    if (info.name.starts_with(kGlobal)) out.emplace(info.name.substr(kGlobal.size()), info.support);
  }
  for (const char* section : {"global", "defaults", "frontend", "backend", "listen"}) {
    out.emplace(section, KeywordSupport::kSupported);
  }
  for (const char* section : {"peers", "peer", "userlist"}) {
    out.emplace(section, KeywordSupport::kUnsupported);
  }
  out.emplace("conditions: if/unless", KeywordSupport::kSupported);
  // Flags of ACL patterns: patterns are refused as a whole.
  out.emplace("match:", KeywordSupport::kUnsupported);
  for (const char* sample : {"ssl_fc", "src", "dst", "dst_port"}) {
    out.emplace(std::string("fetch/conv: ") + sample, KeywordSupport::kSupported);
  }
  // Data types of stick tables, which the count took for samples.
  for (const char* type : {"http_err_rate", "http_req_rate"}) {
    out.emplace(std::string("fetch/conv: ") + type, KeywordSupport::kUnsupported);
  }
  return out;
}

std::optional<KeywordSupport> find(const std::map<std::string, KeywordSupport>& names,
                                   std::string phrase) {
  constexpr std::string_view kSample = "fetch/conv: ";
  while (true) {
    if (const auto found = names.find(phrase); found != names.end()) return found->second;
    if (phrase.starts_with(kSample)) {
      const std::string name = phrase.substr(kSample.size());
      const bool known = is_known_fetch(name) || is_known_converter(name) || name == "HTTP";
      return known ? std::optional(KeywordSupport::kUnsupported) : std::nullopt;
    }
    // "stats socket mode" is known by "stats socket".
    const std::size_t space = phrase.rfind(' ');
    if (space == std::string::npos) return std::nullopt;
    phrase.resize(space);
  }
}

TEST(ConfigKeywords, EveryKeywordOfRealDeploymentsIsKnown) {
  const auto names = support_by_name();
  std::ifstream in(NINES_TESTDATA "/haproxy-keywords.tsv");
  std::string line;
  ASSERT_TRUE(std::getline(in, line));
  int total = 0, taken = 0;
  std::string unsupported;
  while (std::getline(in, line)) {
    const std::string phrase = line.substr(0, line.find('\t'));
    const auto support = find(names, phrase);
    EXPECT_TRUE(support.has_value()) << phrase;
    if (!support) continue;
    ++total;
    if (*support == KeywordSupport::kSupported || *support == KeywordSupport::kHarmless) {
      ++taken;
    } else {
      unsupported += "  " + phrase + "\n";
    }
  }
  EXPECT_GT(total, 200);
  std::printf("%d of %d keywords are taken (%d %%); not:\n%s", taken, total, taken * 100 / total,
              unsupported.c_str());
  // The share only grows.
  EXPECT_GE(taken * 100, total * 50);
}

TEST(ConfigKeywords, NoNameIsListedTwice) {
  std::set<std::string> seen;
  for (const KeywordInfo& info : known_keywords()) {
    EXPECT_TRUE(seen.insert(info.name).second) << info.name;
  }
}

TEST(ConfigKeywords, WhatIsNotTakenSaysWhatToDo) {
  for (const KeywordInfo& info : known_keywords()) {
    if (info.support == KeywordSupport::kSupported) continue;
    EXPECT_FALSE(info.advice.empty()) << info.name;
  }
}

}  // namespace
}  // namespace nines::proxy
