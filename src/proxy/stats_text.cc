// Quoting is HAProxy's: a CSV text is quoted only when it has to be, typed lines are never quoted,
// and a field that does not apply is empty in CSV and left out elsewhere.
#include "proxy/stats_text.h"

namespace nines::proxy {
namespace {

void append_csv_text(std::string& out, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

// A typed line ends at the newline, whatever a server's check may have said.
void append_line_text(std::string& out, std::string_view text) {
  for (const char c : text) out += c == '\n' || c == '\r' ? ' ' : c;
}

char object_letter(StatsObject object) {
  switch (object) {
    case StatsObject::kFrontend:
      return 'F';
    case StatsObject::kBackend:
      return 'B';
    case StatsObject::kServer:
      return 'S';
  }
  return '?';
}

std::string_view object_name(StatsObject object) {
  switch (object) {
    case StatsObject::kFrontend:
      return "Frontend";
    case StatsObject::kBackend:
      return "Backend";
    case StatsObject::kServer:
      return "Server";
  }
  return "Unknown";
}

std::string_view origin_name(char letter) {
  switch (letter) {
    case 'M':
      return "Metric";
    case 'S':
      return "Status";
    case 'K':
      return "Key";
    case 'C':
      return "Config";
    case 'P':
      return "Product";
    default:
      return "Unknown";
  }
}

std::string_view nature_name(char letter) {
  switch (letter) {
    case 'A':
      return "Age";
    case 'a':
      return "Avg";
    case 'C':
      return "Counter";
    case 'D':
      return "Duration";
    case 'G':
      return "Gauge";
    case 'L':
      return "Limit";
    case 'M':
      return "Max";
    case 'm':
      return "Min";
    case 'N':
      return "Name";
    case 'O':
      return "Output";
    case 'R':
      return "Rate";
    case 'T':
      return "Time";
    default:
      return "Unknown";
  }
}

std::string_view scope_name(char letter) {
  switch (letter) {
    case 'C':
      return "Cluster";
    case 'P':
      return "Process";
    case 'S':
      return "Service";
    case 's':
      return "System";
    default:
      return "Unknown";
  }
}

void append_csv_row(std::string& out, const StatsRow& row) {
  for (std::size_t i = 0; i < kStatsColumns; ++i) {
    if (i == static_cast<std::size_t>(kStatsFirstModuleColumn)) out += "-,";
    const StatsValue& value = row.values[i];
    if (value.present) {
      if (stats_column(i).type == StatsType::kText) {
        append_csv_text(out, value.text);
      } else {
        out += std::to_string(value.number);
      }
    }
    out += ',';
  }
  out += '\n';
}

void append_typed_row(std::string& out, const StatsRow& row, bool descriptions) {
  std::string head(1, object_letter(row.object));
  head += '.' + std::to_string(row.proxy_id) + '.' + std::to_string(row.server_id) + '.';
  for (std::size_t i = 0; i < kStatsColumns; ++i) {
    const StatsValue& value = row.values[i];
    if (!value.present) continue;
    const StatsColumnInfo& column = stats_column(i);
    out += head;
    out += std::to_string(i);
    out += '.';
    out += column.name;
    out += ".1:";
    out += stats_tag(i, row.object);
    out += ':';
    out += type_name(column.type);
    out += ':';
    append_value(out, column.type, value);
    if (descriptions) {
      out += ":\"";
      out += column.description;
      out += '"';
    }
    out += '\n';
  }
}

void append_json_row(std::string& out, const StatsRow& row, bool first_row) {
  out += first_row ? "[" : ",[";
  bool first = true;
  for (std::size_t i = 0; i < kStatsColumns; ++i) {
    const StatsValue& value = row.values[i];
    if (!value.present) continue;
    const StatsColumnInfo& column = stats_column(i);
    out += first ? R"({"objType":")" : R"(,{"objType":")";
    first = false;
    out += object_name(row.object);
    out += R"(","proxyId":)" + std::to_string(row.proxy_id);
    out += R"(,"id":)" + std::to_string(row.server_id);
    out += R"(,"field":{"pos":)" + std::to_string(i) + R"(,"name":")";
    out += column.name;
    out += R"("},"processNum":1,)";
    append_json_tags(out, stats_tag(i, row.object));
    out += ',';
    append_json_value(out, column.type, value);
    out += '}';
  }
  out += ']';
}

}  // namespace

void append_stats_head(std::string& out, const StatsTextOptions& options) {
  switch (options.format) {
    case StatsFormat::kCsv:
      out += "# ";
      for (std::size_t i = 0; i < kStatsColumns; ++i) {
        if (i == static_cast<std::size_t>(kStatsFirstModuleColumn)) out += "-,";
        out += stats_column(i).name;
        out += ',';
      }
      out += '\n';
      break;
    case StatsFormat::kTyped:
      break;
    case StatsFormat::kJson:
      out += '[';
      break;
  }
}

void append_stats_row(std::string& out, const StatsRow& row, const StatsTextOptions& options,
                      bool first_row) {
  switch (options.format) {
    case StatsFormat::kCsv:
      append_csv_row(out, row);
      break;
    case StatsFormat::kTyped:
      append_typed_row(out, row, options.descriptions);
      break;
    case StatsFormat::kJson:
      append_json_row(out, row, first_row);
      break;
  }
}

void append_stats_tail(std::string& out, const StatsTextOptions& options) {
  if (options.format == StatsFormat::kJson) out += "]\n";
}

// RFC 8259, section 7. Bytes above ASCII pass: names are UTF-8 as the configuration had them.
void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_json_tags(std::string& out, std::string_view tag) {
  out += R"("tags":{"origin":")";
  out += origin_name(tag[0]);
  out += R"(","nature":")";
  out += nature_name(tag[1]);
  out += R"(","scope":")";
  out += scope_name(tag[2]);
  out += R"("})";
}

void append_json_value(std::string& out, StatsType type, const StatsValue& value) {
  out += R"("value":{"type":")";
  out += type_name(type);
  out += R"(","value":)";
  if (type == StatsType::kText) {
    append_json_string(out, value.text);
  } else {
    out += std::to_string(value.number);
  }
  out += '}';
}

std::string_view type_name(StatsType type) {
  switch (type) {
    case StatsType::kU32:
      return "u32";
    case StatsType::kS32:
      return "s32";
    case StatsType::kU64:
      return "u64";
    case StatsType::kText:
      return "str";
  }
  return "str";
}

void append_value(std::string& out, StatsType type, const StatsValue& value) {
  if (type == StatsType::kText) {
    append_line_text(out, value.text);
  } else {
    out += std::to_string(value.number);
  }
}

}  // namespace nines::proxy
