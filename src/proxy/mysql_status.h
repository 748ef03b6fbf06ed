// A question of the MySQL protocol and its answer, as far as a health check needs them: a query,
// and a result of two text columns (SHOW STATUS). Bytes to values and back.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/mysql_packet.h"

namespace nines::proxy::mysql {

std::string encode_query(std::string_view statement);
std::string encode_quit();

struct StatusRow {
  std::string_view name, value;  // NULL is empty
};

struct StatusAnswer {
  static constexpr std::size_t kRowsMax = 8;  // more is kBad: no question of ours has so many

  Parse parse = Parse::kNeedMore;
  bool failed = false;  // on kComplete: `error`, else rows()
  ServerError error;
  std::size_t size = 0;  // bytes of all its packets
  std::span<const StatusRow> rows() const { return {rows_.data(), count_}; }

  std::array<StatusRow, kRowsMax> rows_;
  std::size_t count_ = 0;
};

// Views point into `bytes`. Without state: on kNeedMore call again with more of the same bytes.
// For a session that did not ask for CLIENT_DEPRECATE_EOF.
StatusAnswer parse_status(std::string_view bytes);

}  // namespace nines::proxy::mysql
