// The secret that the controllers of a cluster share, as text in a file and as a value. Two keys
// stand in the file while one is replaced by the other: the first seals, both open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/cipher.h"

namespace nines::cluster {

inline constexpr std::size_t kKeysMax = 2;
inline constexpr std::size_t kKeyFileMax = 4096;  // bytes of a key file, comments included

struct ClusterKey {
  Secret secret;
  // Says which key it is and nothing about it: derived one way. Travels in clear in each datagram,
  // and people compare it between nodes.
  std::uint32_t id = 0;
};
using ClusterKeys = std::vector<ClusterKey>;  // 1 to kKeysMax, with different ids

Result<ClusterKey> make_key(const Secret& secret);

// "3f09ab12"
std::string id_text(std::uint32_t id);

// Each line one key: 64 hexadecimal digits, or 44 characters of base64 with their padding. Comments
// begin with #, empty lines do not count. kInvalid says which line is wrong and what is allowed; it
// never repeats what stands there.
Result<ClusterKeys> parse_keys(std::string_view text);

// 64 hexadecimal digits.
std::string secret_text(const Secret& secret);

// A file with this key, ending in a line feed, with a comment that says what it is.
std::string key_file_text(const ClusterKey& key);

}  // namespace nines::cluster
