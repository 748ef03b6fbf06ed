// One table says what a figure is called and how it is counted; text, reading back and rendering
// all go by it.
#include "lab/drill_series.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

namespace nines::lab {
namespace {

// In the order in which they are written, as people read a row: who, what, then the figures.
using Json = nlohmann::ordered_json;

enum class Unit : std::uint8_t { kTime, kCount };

struct FigureTraits {
  Figure figure;
  std::string_view title;
  std::string_view key;  // in the text of rows
  Unit unit;
  bool always_shown;  // that it is nothing is worth a line
};
constexpr std::array<FigureTraits, kFigures> kTraits{{
    {Figure::kOutage, "address silent", "outage_ms", Unit::kTime, true},
    {Figure::kLongestGap, "longest gap", "longest_gap_ms", Unit::kTime, true},
    {Figure::kFirstSuccess, "first success", "first_success_ms", Unit::kTime, true},
    {Figure::kDetected, "detected", "detected_ms", Unit::kTime, true},
    {Figure::kDecided, "decided", "decided_ms", Unit::kTime, true},
    {Figure::kActed, "acted", "acted_ms", Unit::kTime, true},
    {Figure::kFailed, "failed", "failed", Unit::kCount, true},
    {Figure::kFailedInFlight, "failed in flight", "failed_in_flight", Unit::kCount, true},
    {Figure::kSlow, "slow", "slow", Unit::kCount, false},
    {Figure::kUnfinished, "unfinished", "unfinished", Unit::kCount, false},
    {Figure::kNobody, "nobody held it", "nobody_ms", Unit::kTime, true},
    {Figure::kOverlap, "two held it", "overlap_ms", Unit::kTime, true},
    {Figure::kOverlapWithCutOff, "two, cut off or not", "overlap_with_cut_off_ms", Unit::kTime,
     false},
    {Figure::kAnnounced, "announcements", "announced", Unit::kCount, false},
    {Figure::kTokens, "tokens", "tokens", Unit::kCount, true},
    {Figure::kTokensLost, "tokens lost", "tokens_lost", Unit::kCount, true},
    {Figure::kTokenSlowest, "slowest token", "token_slowest_ms", Unit::kTime, true},
    {Figure::kTokensInvalid, "tokens no longer valid", "tokens_invalid", Unit::kCount, false},
    {Figure::kTransactions, "transactions", "transactions", Unit::kCount, true},
    {Figure::kTransactionsLost, "transactions lost", "transactions_lost", Unit::kCount, true},
    {Figure::kTransactionSlowest, "slowest transaction", "transaction_slowest_ms", Unit::kTime,
     true},
    {Figure::kRulesStand, "rules stand", "rules_stand_ms", Unit::kTime, true},
    {Figure::kPeerTold, "peers' clients told", "peer_told_ms", Unit::kTime, true},
    {Figure::kPeerRefused, "peers' clients refused", "peer_refused_ms", Unit::kTime, true},
    {Figure::kPeerWaited, "longest wait for a peer", "peer_waited_ms", Unit::kTime, true},
    {Figure::kPeerReached, "reached again", "peer_reached_ms", Unit::kTime, true},
    {Figure::kRulesGone, "rules gone", "rules_gone_ms", Unit::kTime, true},
    {Figure::kRulesOutlived, "rules that outlived their reason", "rules_outlived", Unit::kCount,
     true},
    {Figure::kServicesBack, "services back", "services_back_ms", Unit::kTime, true},
}};

constexpr double kNanosecondsPerMillisecond = 1e6;
// A week: no drill is watched for longer, and a sum of such never overflows.
constexpr double kMillisecondsMax = 7.0 * 24 * 3600 * 1000;
constexpr double kCountMax = 1e12;

const FigureTraits& traits_of(Figure figure) { return kTraits[static_cast<std::size_t>(figure)]; }

Json to_json(const DrillRow& row) {
  Json json = {{"engine", row.engine},
               {"run", row.run},
               {"scenario", row.scenario},
               {"phase", row.phase},
               {"held", row.held}};
  for (const auto& each : kTraits) {
    const auto value = row[each.figure];
    if (!value) continue;
    if (each.unit == Unit::kTime) {
      json[std::string(each.key)] = static_cast<double>(*value / 1000) / 1000;
    } else {
      json[std::string(each.key)] = *value;
    }
  }
  if (!row.scheduling.empty()) json["scheduling"] = row.scheduling;
  if (!row.broken.empty()) json["broken"] = row.broken;
  return json;
}

// Reads one row, and remembers the first thing that is wrong with it.
class RowReader {
 public:
  RowReader(const Json& json, std::size_t number) : json_(json), number_(number) {}

  Result<DrillRow> read() {
    if (!json_.is_object()) return wrong("is " + json_.dump(), "an object is allowed");
    DrillRow row;
    for (const auto& [key, value] : json_.items()) TRY(read_member(row, key, value));
    for (const char* needed : {"engine", "run", "scenario", "phase", "held"}) {
      if (!json_.contains(needed)) {
        return wrong("has no \"" + std::string(needed) + '"', "every row needs it");
      }
    }
    return row;
  }

 private:
  Result<void> read_member(DrillRow& row, const std::string& key, const Json& value) {
    const auto text = [&](std::string& out) -> Result<void> {
      if (!value.is_string()) return wrong_value(key, value, "a string");
      out = value.get<std::string>();
      return {};
    };
    if (key == "engine") return text(row.engine);
    if (key == "scenario") return text(row.scenario);
    if (key == "phase") return text(row.phase);
    if (key == "scheduling") return text(row.scheduling);
    if (key == "run") {
      if (!value.is_number_integer() || value.get<double>() < 1 || value.get<double>() > 1e6) {
        return wrong_value(key, value, "a whole number from 1 to 1000000");
      }
      row.run = value.get<int>();
      return {};
    }
    if (key == "held") {
      if (!value.is_boolean()) return wrong_value(key, value, "true or false");
      row.held = value.get<bool>();
      return {};
    }
    if (key == "broken") {
      if (!value.is_array()) return wrong_value(key, value, "a list of strings");
      for (const auto& each : value) {
        if (!each.is_string()) return wrong_value(key, value, "a list of strings");
        row.broken.push_back(each.get<std::string>());
      }
      return {};
    }
    for (const auto& each : kTraits) {
      if (each.key == key) return read_figure(row, each, value);
    }
    return wrong("has \"" + key + '"', "no such figure is known");
  }

  Result<void> read_figure(DrillRow& row, const FigureTraits& traits, const Json& value) {
    const bool is_time = traits.unit == Unit::kTime;
    const double most = is_time ? kMillisecondsMax : kCountMax;
    if (!(is_time ? value.is_number() : value.is_number_integer()) || value.get<double>() < 0 ||
        value.get<double>() > most) {
      return wrong_value(std::string(traits.key), value,
                         is_time ? "milliseconds from 0 to a week" : "a whole number from 0");
    }
    row[traits.figure] =
        is_time ? std::llround(value.get<double>() * 1000) * 1000 : value.get<std::int64_t>();
    return {};
  }

  Error wrong_value(const std::string& key, const Json& value, const std::string& allowed) const {
    return wrong("has \"" + key + "\": " + value.dump(), allowed + " is allowed");
  }
  Error wrong(const std::string& what, const std::string& allowed) const {
    return Error(ErrorCode::kInvalid,
                 "row " + std::to_string(number_) + ' ' + what + "; " + allowed);
  }

  const Json& json_;
  std::size_t number_;
};

Error wrong_failed(const Json& found) {
  return Error(ErrorCode::kInvalid,
               "\"failed\" has " + found.dump() + "; a list of strings is allowed");
}

struct PhaseName {
  std::string_view scenario, phase;
  friend bool operator==(const PhaseName&, const PhaseName&) = default;
};

// The phase alone where that tells which.
std::string words_of(const PhaseName& name, std::span<const PhaseName> all) {
  const auto same = std::count_if(all.begin(), all.end(),
                                  [&](const auto& each) { return each.phase == name.phase; });
  return (same == 1 ? "" : std::string(name.scenario) + ", ") + std::string(name.phase);
}

template <typename T>
void add_once(std::vector<T>& list, const T& each) {
  if (std::find(list.begin(), list.end(), each) == list.end()) list.push_back(each);
}

std::string render_value(double value, Unit unit) {
  if (unit == Unit::kTime) {
    return value == 0 ? "0" : render_duration(Duration(std::llround(value)));
  }
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.10g", value);
  return text.data();
}

std::string render_summary(const FigureSummary& summary, Unit unit) {
  if (summary.count == 0) return "-";
  std::string text = render_value(summary.median, unit);
  if (summary.least != summary.most) {
    text += " (" + render_value(summary.least, unit) + " to " + render_value(summary.most, unit);
    // That it happened at all is what matters, however seldom.
    if (summary.nonzero < summary.count) {
      text += ", in " + std::to_string(summary.nonzero) + " of " + std::to_string(summary.count);
    }
    text += ')';
  }
  return text;
}

std::string render_ratio(const FigureSummary& ours, const FigureSummary& theirs) {
  if (ours.count == 0 || theirs.count == 0 || theirs.median == 0) return "";
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.2f", ours.median / theirs.median);
  return text.data();
}

std::string render_runs(std::span<const DrillRow> rows, std::string_view engine,
                        const PhaseName& name) {
  int runs = 0;
  int held = 0;
  for (const auto& row : rows) {
    if (row.engine != engine || row.scenario != name.scenario || row.phase != name.phase) continue;
    ++runs;
    held += row.held;
  }
  return runs == 0 ? "-" : std::to_string(held) + " of " + std::to_string(runs) + " held";
}

// Nobody was cut off while another held it: once is enough.
bool is_same_as_overlap(std::span<const DrillRow> rows, const PhaseName& name) {
  return std::all_of(rows.begin(), rows.end(), [&](const DrillRow& row) {
    return row.scenario != name.scenario || row.phase != name.phase ||
           row[Figure::kOverlap] == row[Figure::kOverlapWithCutOff];
  });
}

using Cells = std::vector<std::string>;

std::string render_plain(const std::vector<Cells>& table) {
  std::vector<std::size_t> widths(table.front().size());
  for (const auto& row : table) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : table) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line += "  ";
      line += row[i] + std::string(widths[i] - row[i].size(), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

std::string render_markdown(const std::vector<Cells>& table) {
  std::string text;
  for (std::size_t r = 0; r < table.size(); ++r) {
    for (const auto& cell : table[r]) {
      text += "| ";
      for (const char each : cell) text += each == '|' ? std::string("\\|") : std::string(1, each);
      if (!cell.empty()) text += ' ';
    }
    text += "|\n";
    if (r > 0) continue;
    for (std::size_t i = 0; i < table[r].size(); ++i) text += i < 2 ? "|---" : "|---:";
    text += "|\n";
  }
  return text;
}

}  // namespace

std::string_view title_of(Figure figure) { return traits_of(figure).title; }

bool is_time(Figure figure) { return traits_of(figure).unit == Unit::kTime; }

DrillRow row_of(const PhaseReport& report, std::string engine, int run) {
  DrillRow row{.engine = std::move(engine),
               .run = run,
               .scenario = report.scenario,
               .phase = report.phase,
               .scheduling = report.scheduling,
               .held = report.broken.empty(),
               .broken = report.broken};
  const Totals totals = totals_of(report);
  row[Figure::kFailed] = totals.failed;
  row[Figure::kFailedInFlight] = totals.failed_in_flight;
  row[Figure::kSlow] = totals.slow;
  row[Figure::kUnfinished] = totals.unfinished;
  if (const auto* watched = find_service(report, report.watched_proxy)) {
    row[Figure::kLongestGap] = watched->gap_longest.count();
    row[Figure::kFirstSuccess] = watched->first_success.value_or(report.length).count();
  }
  if (report.change_expected) {
    row[Figure::kDetected] = report.detected.value_or(report.length).count();
    row[Figure::kDecided] = report.decided.value_or(report.length).count();
    row[Figure::kActed] = report.acted.value_or(report.length).count();
  }
  if (const auto* tokens = find_load(report, LoadKind::kTokens)) {
    row[Figure::kTokens] = tokens->requests;
    row[Figure::kTokensLost] = lost_of(*tokens);
    row[Figure::kTokenSlowest] = tokens->slowest.count();
    std::int64_t invalid = 0;
    for (const auto& audit : {report.tokens_before, report.tokens_within}) {
      if (audit) invalid += audit->asked - audit->valid;
    }
    row[Figure::kTokensInvalid] = invalid;
  }
  if (const auto* writes = find_load(report, LoadKind::kTransactions)) {
    row[Figure::kTransactions] = writes->requests;
    row[Figure::kTransactionsLost] = lost_of(*writes);
    row[Figure::kTransactionSlowest] = writes->slowest.count();
  }
  if (report.peers) {
    const auto put = [&](Figure figure, std::optional<Duration> value) {
      if (value) row[figure] = value->count();
    };
    const auto& peers = *report.peers;
    put(Figure::kRulesStand, peers.rules.all);
    put(Figure::kPeerTold, peers.clients.told);
    put(Figure::kPeerRefused, peers.clients.refused);
    put(Figure::kPeerWaited, peers.clients.waited);
    put(Figure::kPeerReached, peers.reached);
    put(Figure::kRulesGone, peers.rules.gone_after);
    if (peers.rules.complete) row[Figure::kRulesOutlived] = peers.rules.outlived;
    put(Figure::kServicesBack, slowest_back(peers));
  }
  if (report.outage) row[Figure::kOutage] = report.outage->count();
  // What the recorder may have missed is not measured.
  if (report.ownership && report.ownership->complete) {
    row[Figure::kNobody] = report.ownership->nobody.longest.count();
    row[Figure::kOverlap] = report.ownership->overlap.longest.count();
    row[Figure::kOverlapWithCutOff] = report.ownership->overlap_with_cut_off.longest.count();
    std::int64_t announced = 0;
    for (const auto& [host, count] : report.ownership->announced) announced += count;
    row[Figure::kAnnounced] = announced;
  }
  return row;
}

std::string to_text(const DrillSeries& series) {
  std::string text = "{\"about\": " + Json(series.about).dump() + ",\n";
  if (!series.failed.empty()) text += " \"failed\": " + Json(series.failed).dump() + ",\n";
  text += " \"rows\": [";
  for (std::size_t i = 0; i < series.rows.size(); ++i) {
    text += (i == 0 ? "\n  " : ",\n  ") + to_json(series.rows[i]).dump();
  }
  return text + "\n]}\n";
}

Result<DrillSeries> parse_drill_series(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("rows") || !json["rows"].is_array()) {
    return Error(ErrorCode::kInvalid,
                 "no series of drills: an object with a list \"rows\" is allowed");
  }
  DrillSeries series;
  if (json.contains("about")) {
    if (!json["about"].is_object()) {
      return Error(ErrorCode::kInvalid,
                   "\"about\" is " + json["about"].dump() + "; an object of strings is allowed");
    }
    for (const auto& [key, value] : json["about"].items()) {
      if (!value.is_string()) {
        return Error(ErrorCode::kInvalid,
                     "\"about\" has \"" + key + "\": " + value.dump() + "; a string is allowed");
      }
      series.about[key] = value.get<std::string>();
    }
  }
  if (json.contains("failed")) {
    const Json& failed = json["failed"];
    if (!failed.is_array()) return wrong_failed(failed);
    for (const auto& each : failed) {
      if (!each.is_string()) return wrong_failed(each);
      series.failed.push_back(each.get<std::string>());
    }
  }
  if (json["rows"].size() > kSeriesRowsMax) {
    return Error(ErrorCode::kExhausted, std::to_string(json["rows"].size()) + " rows; " +
                                            std::to_string(kSeriesRowsMax) + " are allowed");
  }
  for (const auto& each : json["rows"]) {
    series.rows.push_back(TRY(RowReader(each, series.rows.size() + 1).read()));
  }
  return series;
}

FigureSummary summarize(std::span<const DrillRow> rows, std::string_view engine,
                        std::string_view scenario, std::string_view phase, Figure figure) {
  std::vector<double> values;
  for (const auto& row : rows) {
    if (row.engine != engine || row.scenario != scenario || row.phase != phase) continue;
    if (row[figure]) values.push_back(static_cast<double>(*row[figure]));
  }
  FigureSummary summary;
  if (values.empty()) return summary;
  std::sort(values.begin(), values.end());
  summary.count = static_cast<int>(values.size());
  summary.nonzero = static_cast<int>(
      std::count_if(values.begin(), values.end(), [](double value) { return value != 0; }));
  summary.least = values.front();
  summary.most = values.back();
  const std::size_t middle = values.size() / 2;
  summary.median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return summary;
}

std::string render_series(std::span<const DrillRow> rows, TableStyle style) {
  std::vector<std::string_view> engines;
  std::vector<PhaseName> phases;
  for (const auto& row : rows) {
    add_once(engines, std::string_view(row.engine));
    add_once(phases, PhaseName{row.scenario, row.phase});
  }
  const bool has_ratio = engines.size() == 2;
  std::vector<Cells> table{{"drill", "median (least to most)"}};
  table[0].insert(table[0].end(), engines.begin(), engines.end());
  if (has_ratio) table[0].push_back("ratio");
  for (const auto& name : phases) {
    Cells runs{words_of(name, phases), "runs"};
    for (const auto engine : engines) runs.push_back(render_runs(rows, engine, name));
    if (has_ratio) runs.emplace_back();
    table.push_back(std::move(runs));
    for (const auto& traits : kTraits) {
      if (traits.figure == Figure::kOverlapWithCutOff && is_same_as_overlap(rows, name)) continue;
      Cells line{"", std::string(traits.title)};
      std::vector<FigureSummary> found;
      bool shown = false;
      for (const auto engine : engines) {
        found.push_back(summarize(rows, engine, name.scenario, name.phase, traits.figure));
        const auto& summary = found.back();
        shown = shown || (summary.count > 0 && (traits.always_shown || summary.most > 0));
        line.push_back(render_summary(summary, traits.unit));
      }
      if (!shown) continue;
      if (has_ratio) line.push_back(render_ratio(found[0], found[1]));
      table.push_back(std::move(line));
    }
  }
  return style == TableStyle::kPlain ? render_plain(table) : render_markdown(table);
}

}  // namespace nines::lab
