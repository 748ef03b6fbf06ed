// Rows of statistics as the three texts that tools read: CSV, typed lines and JSON. HAProxy
// management guide, sections 9.1 and 9.2.
#pragma once

#include <string>
#include <string_view>

#include "proxy/stats_rows.h"

namespace nines::proxy {

enum class StatsFormat : std::uint8_t { kCsv, kTyped, kJson };

struct StatsTextOptions {
  StatsFormat format = StatsFormat::kCsv;
  bool descriptions = false;  // "desc": typed lines end with what the field means
};

// One after the other: head, any number of rows, tail. All append to `out`.
void append_stats_head(std::string& out, const StatsTextOptions& options);
void append_stats_row(std::string& out, const StatsRow& row, const StatsTextOptions& options,
                      bool first_row);
void append_stats_tail(std::string& out, const StatsTextOptions& options);

// Pieces that the process's own fields are written with too.
void append_json_string(std::string& out, std::string_view text);
// `"tags":{...}` of three tag letters.
void append_json_tags(std::string& out, std::string_view tag);
// `"value":{...}`
void append_json_value(std::string& out, StatsType type, const StatsValue& value);
std::string_view type_name(StatsType type);
void append_value(std::string& out, StatsType type, const StatsValue& value);

}  // namespace nines::proxy
