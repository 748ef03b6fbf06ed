// "stats ..." of a proxy, section 4.2. Any of them turns the page on; the first in a section starts
// afresh instead of changing what was inherited.
#include "proxy/config_draft.h"

namespace nines::proxy {
namespace {

void stats_enable(ProxyDraft&, Statement& statement) { statement.expect_end(); }

void stats_uri(ProxyDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("a URI prefix");
  if (word != nullptr) draft.config.stats.uri = word->text;
}

void stats_realm(ProxyDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("a realm");
  if (word != nullptr) draft.config.stats.realm = word->text;
}

void stats_refresh(ProxyDraft& draft, Statement& statement) {
  const auto value = statement.take_duration("a time", std::chrono::seconds(1));
  if (value) draft.config.stats.refresh = *value;
}

void stats_auth(ProxyDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("USER:PASSWORD");
  if (word == nullptr) return;
  // The password must not be shown, so what was found is not.
  if (word->text.find(':') == std::string::npos) {
    statement.error_at(word->span, "'stats auth' wants a user and a password")
        .with_allowed("USER:PASSWORD");
    return;
  }
  draft.config.stats.credentials.push_back(word->text);
}

void stats_hide_version(ProxyDraft& draft, Statement& statement) {
  draft.config.stats.hide_version = true;
  statement.expect_end();
}

void stats_show_node(ProxyDraft& draft, Statement& statement) {
  const Word* word = statement.take();
  draft.config.stats.show_node = word == nullptr ? "" : word->text;
}

void stats_show_legends(ProxyDraft& draft, Statement& statement) {
  draft.config.stats.show_legends = true;
  statement.expect_end();
}

constexpr unsigned kNotDefaults = kInFrontend | kInBackend;

constexpr Keyword<ProxyDraft> kStats[] = {
    unsupported<ProxyDraft>("admin", kNotDefaults,
                            "remove it; change servers through the runtime socket "
                            "(\"set server\", \"disable server\") instead"),
    {"auth", kAnywhere, &stats_auth},
    {"enable", kAnywhere, &stats_enable},
    {"hide-version", kAnywhere, &stats_hide_version},
    unsupported<ProxyDraft>("http-request", kNotDefaults,
                            "remove it and guard the page with 'stats auth'"),
    {"realm", kAnywhere, &stats_realm},
    {"refresh", kAnywhere, &stats_refresh},
    unsupported<ProxyDraft>("scope", kAnywhere, "remove it: the page shows every proxy"),
    harmless<ProxyDraft>("show-desc", kAnywhere, "the page shows no description"),
    {"show-legends", kAnywhere, &stats_show_legends},
    harmless<ProxyDraft>("show-modules", kAnywhere, "there are no modules to show"),
    {"show-node", kAnywhere, &stats_show_node},
    {"uri", kAnywhere, &stats_uri},
};

}  // namespace

void read_stats(ProxyDraft& draft, Statement& statement) {
  if (statement.at_end()) {
    statement.error_missing("one of its settings")
        .with_allowed(joined(keyword_names<ProxyDraft>(kStats)));
    return;
  }
  if (draft.stats_inherited) {
    draft.config.stats = {};
    draft.stats_inherited = false;
  }
  draft.config.stats.enabled = true;
  statement.descend();
  dispatch<ProxyDraft>(kStats, draft, statement, "'stats' setting", "");
}

void list_stats_keywords(std::vector<KeywordInfo>& out) {
  list_keywords<ProxyDraft>(kStats, "stats ", out);
}

}  // namespace nines::proxy
