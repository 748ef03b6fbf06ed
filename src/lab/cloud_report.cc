// Counting, and the two texts: rows for machines, a table for people.
#include "lab/cloud_report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/stable_sort.h"

namespace nines::lab {
namespace {

using Json = nlohmann::json;

bool counts(const RequestRecord& record, const Window& window) {
  return record.begun < window.end && record.ended >= window.begin;
}

void add(const RequestRecord& record, CloudFigures& figures) {
  ++figures.asked;
  figures.failed += record.outcome == Outcome::kSuccess ? 0 : 1;
  figures.worst = std::max(figures.worst, record.ended - record.begun);
}

std::vector<RequestRecord> in_order(std::span<const RequestRecord> records) {
  std::vector<RequestRecord> sorted(records.begin(), records.end());
  sort_stably(sorted, [](const auto& a, const auto& b) { return a.begun < b.begun; });
  return sorted;
}

void add_seconds(std::span<const RequestRecord> records, const Window& window,
                 CloudFigures CloudSecond::*column, std::map<int, CloudSecond>& seconds) {
  for (const auto& record : records) {
    if (record.begun >= window.end) continue;
    const Duration since = record.begun - window.begin;
    // Towards the past: the last second before the fault is -1.
    const auto second = static_cast<int>(since / 1s) - (since < Duration{} && since % 1s != 0ns);
    auto& counted = seconds[second];
    counted.second = second;
    add(record, counted.*column);
  }
}

std::string text_of(Duration duration) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1f s",
                static_cast<double>(duration.count()) / 1'000'000'000);
  return text.data();
}

// ---- Rows as text.

Json to_json(const CloudFigures& figures) {
  return {{"asked", figures.asked},
          {"failed", figures.failed},
          {"worst_ms", milliseconds_of(figures.worst)}};
}

Json to_json(const CloudRow& row) {
  Json servers = Json::array();
  for (const auto& each : row.each) {
    servers.push_back({{"begun_ms", milliseconds_of(each.begun)},
                       {"took_ms", milliseconds_of(each.took)},
                       {"active", each.active},
                       {"reason", each.reason}});
  }
  Json seconds = Json::array();
  for (const auto& each : row.seconds) {
    seconds.push_back({{"second", each.second},
                       {"tokens", to_json(each.tokens)},
                       {"lists", to_json(each.lists)},
                       {"servers", to_json(each.servers)}});
  }
  return {{"scenario", row.scenario},
          {"engine", row.engine},
          {"run", row.run},
          {"tokens", to_json(row.tokens)},
          {"lists", to_json(row.lists)},
          {"servers", to_json(row.servers)},
          {"left", row.left},
          {"each_server", std::move(servers)},
          {"seconds", std::move(seconds)}};
}

// Takes what json.hpp throws where a member is missing or of another kind.
CloudFigures figures_from(const Json& json) {
  return {.asked = json.at("asked").get<int>(),
          .failed = json.at("failed").get<int>(),
          .worst = std::chrono::milliseconds(json.at("worst_ms").get<std::int64_t>())};
}

CloudRow row_from(const Json& json) {
  CloudRow row;
  row.scenario = json.at("scenario").get<std::string>();
  row.engine = json.at("engine").get<std::string>();
  row.run = json.at("run").get<int>();
  row.tokens = figures_from(json.at("tokens"));
  row.lists = figures_from(json.at("lists"));
  row.servers = figures_from(json.at("servers"));
  row.left = json.at("left").get<std::map<std::string, int>>();
  for (const auto& each : json.at("each_server")) {
    row.each.push_back({.begun = std::chrono::milliseconds(each.at("begun_ms").get<std::int64_t>()),
                        .took = std::chrono::milliseconds(each.at("took_ms").get<std::int64_t>()),
                        .active = each.at("active").get<bool>(),
                        .reason = each.at("reason").get<std::string>()});
  }
  for (const auto& each : json.at("seconds")) {
    row.seconds.push_back({.second = each.at("second").get<int>(),
                           .tokens = figures_from(each.at("tokens")),
                           .lists = figures_from(each.at("lists")),
                           .servers = figures_from(each.at("servers"))});
  }
  return row;
}

// ---- The table.

// "2.1 s", of several "2.1 s (1.9 s to 3.0 s)": the median, or the mean of the two in the middle.
std::string render_times(std::vector<Duration> times) {
  std::sort(times.begin(), times.end());
  const std::size_t middle = times.size() / 2;
  const Duration median =
      times.size() % 2 == 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
  if (times.size() == 1) return text_of(median);
  return text_of(median) + " (" + text_of(times.front()) + " to " + text_of(times.back()) + ')';
}

using Cells = std::vector<std::string>;

Cells cells_of(const std::vector<const CloudRow*>& rows) {
  int created = 0;
  int asked = 0;
  int failed_tokens = 0;
  int failed_lists = 0;
  int building = 0;
  int errors = 0;
  std::vector<Duration> servers;
  std::vector<Duration> tokens;
  std::vector<Duration> lists;
  for (const auto* row : rows) {
    asked += row->servers.asked;
    created += row->servers.asked - row->servers.failed;
    failed_tokens += row->tokens.failed;
    failed_lists += row->lists.failed;
    building += row->left_as("BUILD");
    errors += row->left_as("ERROR");
    servers.push_back(row->servers.worst);
    tokens.push_back(row->tokens.worst);
    lists.push_back(row->lists.worst);
  }
  return {rows.front()->scenario,
          rows.front()->engine,
          std::to_string(rows.size()),
          std::to_string(created) + " of " + std::to_string(asked),
          render_times(std::move(servers)),
          render_times(std::move(tokens)),
          std::to_string(failed_tokens),
          render_times(std::move(lists)),
          std::to_string(failed_lists),
          std::to_string(building),
          std::to_string(errors)};
}

std::string render(const std::vector<Cells>& table, TableStyle style) {
  std::vector<std::size_t> widths(table.front().size());
  for (const auto& line : table) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  const bool plain = style == TableStyle::kPlain;
  std::string text;
  for (std::size_t l = 0; l < table.size(); ++l) {
    std::string line = plain ? "" : "|";
    for (std::size_t i = 0; i < table[l].size(); ++i) {
      std::string cell = table[l][i];
      if (plain && i + 1 < table[l].size()) cell.resize(widths[i] + 2, ' ');
      line += plain ? cell : ' ' + cell + " |";
    }
    text += line + '\n';
    if (l != 0 || plain) continue;
    text += '|';
    for (std::size_t i = 0; i < table[l].size(); ++i) text += "---|";
    text += '\n';
  }
  return text;
}

}  // namespace

int CloudRow::left_as(std::string_view status) const {
  const auto found = left.find(std::string(status));
  return found == left.end() ? 0 : found->second;
}

CloudFigures figures_of(std::span<const RequestRecord> records, const Window& window) {
  CloudFigures figures;
  for (const auto& record : records) {
    if (counts(record, window)) add(record, figures);
  }
  return figures;
}

CloudRow measure_cloud(const CloudRecords& records, const Window& window) {
  CloudRow row;
  row.tokens = figures_of(records.tokens, window);
  row.lists = figures_of(records.lists, window);
  for (const auto& record : in_order(records.servers)) {
    if (!counts(record, window) || row.servers.asked >= kServersAsked) continue;
    add(record, row.servers);
    row.each.push_back({.begun = record.begun - window.begin,
                        .took = record.ended - record.begun,
                        .active = record.outcome == Outcome::kSuccess,
                        .reason = std::string(record.reason)});
  }
  std::map<int, CloudSecond> seconds;
  add_seconds(records.tokens, window, &CloudSecond::tokens, seconds);
  add_seconds(records.lists, window, &CloudSecond::lists, seconds);
  add_seconds(records.servers, window, &CloudSecond::servers, seconds);
  for (const auto& [second, counted] : seconds) row.seconds.push_back(counted);
  return row;
}

std::vector<DrillStory::Requests> requests_of(const CloudRecords& records, const Window& window) {
  std::vector<DrillStory::Requests> requests;
  count_requests(records.tokens, window, requests);
  count_requests(records.lists, window, requests);
  // A server takes its second when all is well: as late beyond kSlowServer as a request beyond
  // kSlowRequest.
  std::vector<RequestRecord> servers = records.servers;
  for (auto& each : servers) {
    each.ended = each.begun + std::max(Duration{}, each.ended - each.begun - kSlowServer) +
                 (each.ended - each.begun > kSlowServer ? kSlowRequest : Duration{});
  }
  count_requests(servers, window, requests);
  return requests;
}

std::string to_text(const CloudSeries& series) {
  std::string text = "{\"about\": " + Json(series.about).dump() +
                     ",\n \"failed\": " + Json(series.failed).dump() + ",\n \"rows\": [";
  for (std::size_t i = 0; i < series.rows.size(); ++i) {
    text += (i == 0 ? "\n  " : ",\n  ") + to_json(series.rows[i]).dump();
  }
  return text + "\n]}\n";
}

Result<CloudSeries> parse_cloud_series(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("rows") || !json["rows"].is_array()) {
    return Error(ErrorCode::kInvalid,
                 "no rows of drills: an object with a list \"rows\" is allowed");
  }
  if (json["rows"].size() > kCloudRowsMax) {
    return Error(ErrorCode::kExhausted, std::to_string(json["rows"].size()) + " rows; " +
                                            std::to_string(kCloudRowsMax) + " are allowed");
  }
  CloudSeries series;
  try {
    if (json.contains("about")) series.about = json["about"].get<decltype(series.about)>();
    if (json.contains("failed")) series.failed = json["failed"].get<decltype(series.failed)>();
    for (const auto& each : json["rows"]) series.rows.push_back(row_from(each));
  } catch (const Json::exception& error) {
    return Error(ErrorCode::kInvalid,
                 "row " + std::to_string(series.rows.size() + 1) + ": " + error.what());
  }
  return series;
}

std::string render_cloud_series(std::span<const CloudRow> rows, TableStyle style) {
  std::vector<Cells> table{{"drill", "engine", "runs", "servers", "worst server", "worst token",
                            "tokens failed", "worst list", "lists failed", "in BUILD", "in ERROR"}};
  std::vector<std::pair<std::string_view, std::string_view>> seen;
  for (const auto& row : rows) {
    const std::pair<std::string_view, std::string_view> name(row.scenario, row.engine);
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
    seen.push_back(name);
    std::vector<const CloudRow*> alike;
    for (const auto& each : rows) {
      if (each.scenario == row.scenario && each.engine == row.engine) alike.push_back(&each);
    }
    table.push_back(cells_of(alike));
  }
  return render(table, style);
}

}  // namespace nines::lab
