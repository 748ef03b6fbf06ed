// ACLs and the conditions made of them, sections 7.1 and 7.2: "if a !b or { ssl_fc }".
#include <algorithm>

#include "proxy/config_draft.h"
#include "proxy/config_sample_names.h"

namespace nines::proxy {
namespace {

using Terms = std::vector<AclTerm>;

// Named ACLs are ORs, so a condition may grow when it is written out as an OR of ANDs.
constexpr std::size_t kGroupsMax = 64;
constexpr std::size_t kTermsPerAclMax = 64;

// Predefined ACLs, section 7.4, less TRUE and FALSE.
constexpr std::string_view kPredefined[] = {
    "HTTP",         "HTTP_1.0",       "HTTP_1.1",      "HTTP_2.0",     "HTTP_CONTENT",
    "HTTP_URL_ABS", "HTTP_URL_SLASH", "HTTP_URL_STAR", "LOCALHOST",    "METH_CONNECT",
    "METH_DELETE",  "METH_GET",       "METH_HEAD",     "METH_OPTIONS", "METH_POST",
    "METH_PUT",     "METH_TRACE",     "RDP_COOKIE",    "REQ_CONTENT",  "WAIT_END"};

constexpr std::string_view kAllowedFetches = "ssl_fc, always_true, always_false";

// "ssl_fc", with nothing behind it.
std::optional<AclTerm::Fetch> read_fetch(Statement& statement, const Word& word) {
  std::string_view text = word.text;
  const std::size_t comma = std::min(text.find(','), text.size());
  const std::string_view expression = text.substr(0, comma);
  const std::string_view name = expression.substr(0, expression.find('('));
  const auto span = word.part(0, name.size());
  if (!is_known_fetch(name)) {
    text::Diagnostic& diagnostic =
        statement.error_at(span, "unknown criterion in a condition").with_found(name);
    add_suggestion(diagnostic, name, fetch_names());
    return std::nullopt;
  }
  std::optional<AclTerm::Fetch> fetch;
  if (expression == "ssl_fc") fetch = AclTerm::Fetch::kSslFc;
  if (expression == "always_true") fetch = AclTerm::Fetch::kAlwaysTrue;
  if (expression == "always_false") fetch = AclTerm::Fetch::kAlwaysFalse;
  if (!fetch) {
    statement
        .error_at(span,
                  "the criterion '" + std::string(name) + "' is known but not supported by nines")
        .with_allowed(kAllowedFetches)
        .with_help("drop the condition, or decide on the server");
    return std::nullopt;
  }
  if (comma < text.size()) {
    statement.error_at(word.part(comma, text.size()), "converters are not supported by nines here")
        .with_found(text.substr(comma));
    return std::nullopt;
  }
  return fetch;
}

// What follows a criterion: patterns and flags. Ours are yes or no by themselves.
bool refuse_pattern(Statement& statement, const Word& word) {
  statement.error(word, "values to compare with are not supported by nines")
      .with_help("'ssl_fc' and the like are true or false by themselves");
  return false;
}

// "{ ssl_fc }" behind its brace.
std::optional<Terms> read_anonymous(Statement& statement, const Word& brace) {
  const Word* word = statement.take();
  if (word == nullptr || word->text == "}") {
    statement.error_at(word == nullptr ? statement.end_span() : word->span,
                       "a criterion is missing between the braces");
    return std::nullopt;
  }
  const auto fetch = read_fetch(statement, *word);
  bool good = fetch.has_value();
  bool closed = false;
  while (const Word* next = statement.take()) {
    if (next->text == "}") {
      closed = true;
      break;
    }
    if (good) good = refuse_pattern(statement, *next);
  }
  if (!closed) {
    statement.error(brace, "this brace is never closed")
        .with_help("put a space before the closing brace: { ssl_fc }");
    return std::nullopt;
  }
  if (!good) return std::nullopt;
  return Terms{AclTerm{*fetch, false}};
}

std::optional<Terms> find_named(const ProxyDraft& draft, Statement& statement, const Word& word,
                                std::size_t name_begin) {
  const std::string_view name = std::string_view(word.text).substr(name_begin);
  if (const auto found = draft.acls.find(name); found != draft.acls.end()) return found->second;
  if (name == "TRUE") return Terms{AclTerm{AclTerm::Fetch::kAlwaysTrue, false}};
  if (name == "FALSE") return Terms{AclTerm{AclTerm::Fetch::kAlwaysFalse, false}};
  const text::Span span = word.part(name_begin, word.text.size());
  if (std::find(std::begin(kPredefined), std::end(kPredefined), name) != std::end(kPredefined)) {
    statement
        .error_at(span, "the predefined ACL '" + std::string(name) +
                            "' is known but not supported by nines")
        .with_allowed("TRUE, FALSE, and ACLs of " + std::string(kAllowedFetches));
    return std::nullopt;
  }
  text::Diagnostic& diagnostic =
      statement.error_at(span, "there is no ACL of this name").with_found(name);
  std::vector<std::string_view> names{"TRUE", "FALSE"};
  for (const auto& [known, terms] : draft.acls) names.push_back(known);
  add_suggestion(diagnostic, name, names);
  if (diagnostic.help.empty() && is_known_fetch(name)) {
    diagnostic.with_help("an anonymous ACL stands between braces: { " + std::string(name) + " }");
  }
  return std::nullopt;
}

// Each group AND (a or b): the groups double. Each group AND !(a or b): they only grow.
void and_with(std::vector<Terms>& groups, const Terms& terms, bool negated) {
  if (negated) {
    for (Terms& group : groups) {
      for (AclTerm term : terms) {
        term.negated = !term.negated;
        group.push_back(term);
      }
    }
    return;
  }
  std::vector<Terms> product;
  for (const Terms& group : groups) {
    for (const AclTerm& term : terms) {
      product.push_back(group);
      product.back().push_back(term);
    }
  }
  groups = std::move(product);
}

}  // namespace

void read_acl(ProxyDraft& draft, Statement& statement) {
  const Word* name = statement.take_word("a name and a criterion");
  if (name == nullptr) return;
  if (!is_identifier(name->text) || name->text == "or") {
    statement.error(*name, "this cannot be the name of an ACL")
        .with_allowed("letters, digits, '-', '_', '.' and ':'");
    return;
  }
  const Word* criterion = statement.take_word("a criterion");
  // The name exists whatever comes of it, so that uses of it are not complained about as well.
  Terms& terms = draft.acls[name->text];
  if (criterion == nullptr) return;
  auto fetch = read_fetch(statement, *criterion);
  if (fetch && !statement.at_end()) {
    refuse_pattern(statement, *statement.peek());
    fetch.reset();
  }
  if (terms.size() >= kTermsPerAclMax) {
    statement.error(*name, "this ACL has too many parts")
        .with_allowed("at most " + std::to_string(kTermsPerAclMax));
    return;
  }
  terms.push_back(AclTerm{fetch.value_or(AclTerm::Fetch::kAlwaysFalse), false});
  statement.skip_rest();
}

std::optional<Condition> read_condition(ProxyDraft& draft, Statement& statement) {
  Condition condition;
  const Word* keyword = statement.take();
  if (keyword == nullptr) return condition;
  if (keyword->text != "if" && keyword->text != "unless") {
    statement.error(*keyword, "'" + statement.name() + "' takes nothing more here but a condition")
        .with_allowed("if CONDITION, unless CONDITION");
    return std::nullopt;
  }
  condition.unless = keyword->text == "unless";
  bool good = true;
  bool negated = false;
  bool wanted = true;  // a term must follow
  std::vector<Terms> groups(1);
  const auto close_group = [&] {
    condition.any_of.insert(condition.any_of.end(), groups.begin(), groups.end());
    groups.assign(1, {});
  };
  while (const Word* word = statement.take()) {
    if (word->text == "or" || word->text == "||") {
      if (wanted) {
        statement.error(*word, "a condition is missing before this");
        return std::nullopt;
      }
      close_group();
      wanted = true;
      continue;
    }
    std::size_t begin = 0;
    while (begin < word->text.size() && word->text[begin] == '!') negated = !negated, ++begin;
    if (begin == word->text.size()) {  // "! name"
      wanted = true;
      continue;
    }
    const auto terms = std::string_view(word->text).substr(begin) == "{"
                           ? read_anonymous(statement, *word)
                           : find_named(draft, statement, *word, begin);
    wanted = false;
    if (terms && !terms->empty()) {
      and_with(groups, *terms, negated);
    } else if (!terms) {
      good = false;
    }
    negated = false;
    if (groups.size() + condition.any_of.size() > kGroupsMax) {
      statement.error(*word, "this condition has too many alternatives")
          .with_allowed("at most " + std::to_string(kGroupsMax) + " once it is written out");
      return std::nullopt;
    }
  }
  if (wanted) {
    statement.error_at(statement.end_span(), "a condition is missing here");
    return std::nullopt;
  }
  close_group();
  if (!good) return std::nullopt;
  return condition;
}

}  // namespace nines::proxy
