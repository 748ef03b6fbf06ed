// Counting, judging, drawing.
#include "lab/drill_report.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace nines::lab {

ServiceReport report_service(std::string proxy, std::span<const RequestRecord> records,
                             const Window& window) {
  ServiceReport report;
  report.proxy = std::move(proxy);
  std::vector<Instant> successes;
  Instant last_success_begun{};
  for (const auto& each : records) {
    if (each.outcome == Outcome::kSuccess && each.ended < window.end) {
      successes.push_back(each.ended);
    }
    const bool begun_inside = each.begun >= window.begin && each.begun < window.end;
    const bool in_flight = each.begun < window.begin && each.ended >= window.begin;
    if (!begun_inside && !in_flight) continue;
    ++report.requests;
    const Duration took = each.ended - each.begun;
    report.slowest = std::max(report.slowest, took);
    if (took > kSlowRequest) ++report.slow;
    switch (each.outcome) {
      case Outcome::kSuccess:
        if (!begun_inside) break;
        if (const Duration after = each.ended - window.begin;
            !report.first_success || after < *report.first_success) {
          report.first_success = after;
        }
        if (each.begun >= last_success_begun) {
          last_success_begun = each.begun;
          report.last_node = each.node;
        }
        break;
      case Outcome::kFailed:
        ++(begun_inside ? report.failed : report.failed_in_flight);
        ++report.reasons[std::string(each.reason)];
        break;
      case Outcome::kUnfinished:
        ++report.unfinished;
        break;
    }
  }
  std::sort(successes.begin(), successes.end());
  // The gap that the fault falls into began with the last success before it.
  const auto first_inside = std::lower_bound(successes.begin(), successes.end(), window.begin);
  Instant previous = first_inside == successes.begin() ? window.begin : *std::prev(first_inside);
  for (auto at = first_inside; at != successes.end(); ++at) {
    report.gap_longest = std::max(report.gap_longest, *at - previous);
    previous = *at;
  }
  report.gap_longest = std::max(report.gap_longest, window.end - previous);
  return report;
}

const ServiceReport* find_service(const PhaseReport& report, std::string_view proxy) {
  for (const auto& service : report.services) {
    if (service.proxy == proxy) return &service;
  }
  return nullptr;
}

Totals totals_of(const PhaseReport& report) {
  Totals totals;
  for (const auto& service : report.services) {
    totals.requests += service.requests;
    totals.failed += service.failed;
    totals.failed_in_flight += service.failed_in_flight;
    totals.slow += service.slow;
    totals.unfinished += service.unfinished;
  }
  return totals;
}

namespace {

std::string reasons_of(const PhaseReport& report) {
  std::string text;
  for (const auto& service : report.services) {
    for (const auto& [reason, count] : service.reasons) {
      text += text.empty() ? " (" : ", ";
      text += service.proxy + ' ' + reason + " x" + std::to_string(count);
    }
  }
  return text.empty() ? text : text + ')';
}

}  // namespace

void judge(const Expectation& expected, PhaseReport& report) {
  const Totals totals = totals_of(report);
  const auto at_most = [&](const char* what, int found, std::optional<int> allowed) {
    if (!allowed || found <= *allowed) return;
    report.broken.push_back(std::to_string(found) + ' ' + what + " failed, " +
                            std::to_string(*allowed) + " allowed" + reasons_of(report));
  };
  at_most("requests begun after the fault", totals.failed, expected.failed_max);
  at_most("requests under way at the fault", totals.failed_in_flight,
          expected.failed_in_flight_max);
  const ServiceReport* watched = find_service(report, report.watched_proxy);
  if (expected.gap_max && watched != nullptr && watched->gap_longest > *expected.gap_max) {
    report.broken.push_back(watched->proxy + " without a success for " +
                            render_duration(watched->gap_longest) + ", " +
                            render_duration(expected.gap_max) + " allowed");
  }
  if (expected.decided && !report.decided) {
    report.broken.push_back("the balancer did not decide within " + render_duration(report.length));
  }
  if (!expected.answered_by.empty() && report.answered_by != expected.answered_by) {
    report.broken.push_back(report.watched_proxy + " answered by " +
                            (report.answered_by.empty() ? "nobody" : report.answered_by) +
                            " at the end, " + std::string(expected.answered_by) + " expected");
  }
  if (expected.same_process && !report.same_process) {
    report.broken.push_back("another process serves");
  }
}

std::string render_duration(std::optional<Duration> duration) {
  if (!duration) return "-";
  std::array<char, 32> text;
  const double milliseconds = static_cast<double>(duration->count()) / 1e6;
  if (milliseconds < 10) {
    std::snprintf(text.data(), text.size(), "%.1f ms", milliseconds);
  } else if (milliseconds < 1000) {
    std::snprintf(text.data(), text.size(), "%.0f ms", milliseconds);
  } else {
    std::snprintf(text.data(), text.size(), "%.2f s", milliseconds / 1000);
  }
  return text.data();
}

std::string render_table(std::span<const PhaseReport> reports) {
  constexpr std::size_t kColumns = 11;
  using Cells = std::array<std::string, kColumns>;
  std::vector<Cells> rows = {{"drill", "requests", "failed", "slow", "slowest", "longest gap",
                              "detected", "decided", "acted", "first success", "verdict"}};
  for (const auto& report : reports) {
    const Totals totals = totals_of(report);
    Duration slowest{};
    for (const auto& service : report.services) slowest = std::max(slowest, service.slowest);
    const ServiceReport* watched = find_service(report, report.watched_proxy);
    const auto change = [&](std::optional<Duration> at) {
      return report.change_expected ? render_duration(at) : std::string();
    };
    rows.push_back({report.phase, std::to_string(totals.requests),
                    std::to_string(totals.failed + totals.failed_in_flight),
                    std::to_string(totals.slow), render_duration(slowest),
                    watched == nullptr ? "-" : render_duration(watched->gap_longest),
                    change(report.detected), change(report.decided), change(report.acted),
                    watched == nullptr ? "-" : render_duration(watched->first_success),
                    report.broken.empty() ? "held" : "BROKEN"});
  }
  std::array<std::size_t, kColumns> widths{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      const std::string padding(widths[i] - rows[r][i].size(), ' ');
      if (i == 0) {
        text += rows[r][i] + padding;
      } else if (i + 1 == kColumns) {
        text += "  " + rows[r][i];
      } else {
        text += "  " + padding + rows[r][i];
      }
    }
    text += '\n';
    if (r == 0) continue;
    for (const auto& line : reports[r - 1].broken) text += "    " + line + '\n';
  }
  return text;
}

}  // namespace nines::lab
