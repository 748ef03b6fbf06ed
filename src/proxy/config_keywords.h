// What of HAProxy's configuration language is known, and how well: for documentation, for tools and
// for the test that holds it against the keywords real deployments use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nines::proxy {

enum class KeywordSupport : std::uint8_t {
  kSupported,
  kHarmless,     // accepted with a warning: it changes nothing that matters here
  kRemoved,      // HAProxy 2.6 refuses it too
  kUnsupported,  // a clear error that says what to do
};

struct KeywordInfo {
  std::string
      name;  // "global: maxconn", "option httplog", "bind: ssl", "server: check", "balance first"
  KeywordSupport support;
  std::string advice;
};

// Every keyword, table by table.
std::vector<KeywordInfo> known_keywords();

}  // namespace nines::proxy
