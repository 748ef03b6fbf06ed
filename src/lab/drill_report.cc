// Counting, judging, drawing.
#include "lab/drill_report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>

namespace nines::lab {

Duration longest_gap(std::span<const Instant> instants, const Window& window) {
  const auto first_inside = std::lower_bound(instants.begin(), instants.end(), window.begin);
  Instant previous = first_inside == instants.begin() ? window.begin : *std::prev(first_inside);
  Duration longest{};
  for (auto at = first_inside; at != instants.end() && *at < window.end; ++at) {
    longest = std::max(longest, *at - previous);
    previous = *at;
  }
  return std::max(longest, window.end - previous);
}

Duration longest_silence(std::span<const AddressAnswer> answers, const Window& window) {
  std::vector<Instant> instants;
  for (const auto& each : answers) instants.push_back(each.at);
  std::sort(instants.begin(), instants.end());
  return longest_gap(instants, window);
}

std::set<int> nodes_of(std::span<const RequestRecord> records, const Window& window) {
  std::set<int> nodes;
  for (const auto& each : records) {
    if (each.outcome == Outcome::kSuccess && each.node >= 0 && each.ended >= window.begin &&
        each.ended < window.end) {
      nodes.insert(each.node);
    }
  }
  return nodes;
}

namespace {

bool was_under_way(const RequestRecord& record, const std::optional<Window::Move>& move) {
  return move && record.begun < move->before && record.ended >= move->after;
}

}  // namespace

ServiceReport report_service(std::string proxy, std::span<const RequestRecord> records,
                             const Window& window, LoadKind kind) {
  ServiceReport report;
  report.proxy = std::move(proxy);
  report.kind = kind;
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
        ++(begun_inside && !was_under_way(each, window.move) ? report.failed
                                                             : report.failed_in_flight);
        ++report.reasons[std::string(each.reason)];
        break;
      case Outcome::kUnfinished:
        ++report.unfinished;
        break;
    }
  }
  std::sort(successes.begin(), successes.end());
  if (!successes.empty() && successes.back() >= window.begin) {
    report.last_success = successes.back() - window.begin;
  }
  report.gap_longest = longest_gap(successes, window);
  return report;
}

const ServiceReport* find_service(const PhaseReport& report, std::string_view proxy) {
  for (const auto& service : report.services) {
    if (service.proxy == proxy) return &service;
  }
  return nullptr;
}

const ServiceReport* find_load(const PhaseReport& report, LoadKind kind) {
  for (const auto& service : report.services) {
    if (service.kind == kind) return &service;
  }
  return nullptr;
}

int lost_of(const ServiceReport& load) {
  return load.failed + load.failed_in_flight + load.unfinished;
}

std::optional<Duration> slowest_back(const PhaseReport::Peers& peers) {
  std::optional<Duration> slowest;
  for (const auto& [name, back] : peers.services_back) {
    if (!back) return std::nullopt;
    slowest = std::max(slowest.value_or(Duration(0)), *back);
  }
  return slowest;
}

Totals totals_of(const PhaseReport& report) {
  Totals totals;
  for (const auto& service : report.services) {
    if (service.kind != LoadKind::kRequests) continue;
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

std::string render_names(const std::set<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += text.empty() ? name : ", " + name;
  return text.empty() ? "nobody" : text;
}

void judge_address(const Expectation& expected, PhaseReport& report) {
  const auto longer = [&](const char* what, std::optional<Duration> found,
                          std::optional<Duration> allowed) {
    if (!allowed || !found || *found <= *allowed) return;
    report.broken.push_back(what + render_duration(found) + ", " + render_duration(allowed) +
                            " allowed");
  };
  longer("nobody answered at the address for ", report.outage, expected.outage_max);
  if (report.ownership) {
    longer("two hosts within reach had the address for ", report.ownership->overlap.longest,
           expected.overlap_max);
  }
  if (expected.address_moves && report.outage) {
    const bool moved = report.holder_before != report.holder_after;
    if (moved && !*expected.address_moves) {
      report.broken.push_back("the address moved to " + report.holder_after);
    } else if (!moved && *expected.address_moves) {
      report.broken.push_back("the address stayed at " + report.holder_after);
    }
  }
}

// Whatever is expected besides: a rule has a reason, refuses a minority, and nobody who is there.
void judge_peers(const Expectation& expected, PhaseReport& report) {
  if (!report.peers) return;
  const auto& rules = report.peers->rules;
  const auto broken = [&](const std::string& what) { report.broken.push_back(what); };
  if (!rules.complete) broken("what the kernels refused was not seen throughout");
  if (rules.outlived > 0) {
    broken(std::to_string(rules.outlived) + " rules outlived their reason by more than " +
           render_duration(PeerRules::kOutlivedAllowed));
  }
  const int minority = (report.peers->controllers - 1) / 2;
  if (rules.against_most > minority) {
    broken("a host refused " + std::to_string(rules.against_most) + " of " +
           std::to_string(report.peers->controllers) + " at a time, " + std::to_string(minority) +
           " allowed");
  }
  if (report.peers->clients.refused_there > 0) {
    broken(std::to_string(report.peers->clients.refused_there) +
           " connections to controllers that were there were refused");
  }
  if (expected.rules_after_max && (!rules.all || *rules.all > *expected.rules_after_max)) {
    broken(rules.all ? "the last rule stood after " + render_duration(rules.all) + ", " +
                           render_duration(expected.rules_after_max) + " allowed"
                     : "not every survivor had its rule within " + render_duration(report.length));
  }
  if (expected.no_rule_begins && rules.begun > 0) {
    broken(std::to_string(rules.begun) + " rules began, none allowed");
  }
  if (expected.rule_gone_max && rules.gone_after && *rules.gone_after > *expected.rule_gone_max) {
    broken("a rule was gone " + render_duration(rules.gone_after) + " after its reason, " +
           render_duration(expected.rule_gone_max) + " allowed");
  }
  if (expected.verdicts_max && rules.verdicts_most > *expected.verdicts_max) {
    broken(std::to_string(rules.verdicts_most) + " verdicts on one host, " +
           std::to_string(*expected.verdicts_max) + " allowed");
  }
}

// What only real services can be asked for.
void judge_real_loads(const Expectation& expected, PhaseReport& report) {
  const auto* tokens = find_load(report, LoadKind::kTokens);
  if (tokens != nullptr && expected.tokens_failed_max &&
      tokens->failed > *expected.tokens_failed_max) {
    report.broken.push_back(
        std::to_string(tokens->failed) + " tokens asked for after the fault failed, " +
        std::to_string(*expected.tokens_failed_max) + " allowed" + reasons_of(report));
  }
  if (tokens != nullptr && expected.token_slowest_max &&
      tokens->slowest > *expected.token_slowest_max) {
    report.broken.push_back("a token took " + render_duration(tokens->slowest) + ", " +
                            render_duration(expected.token_slowest_max) + " allowed");
  }
  for (const auto& audit : {report.tokens_before, report.tokens_within}) {
    if (!audit || audit->valid == audit->asked) continue;
    report.broken.push_back("of " + std::to_string(audit->asked) + " tokens only " +
                            std::to_string(audit->valid) + " are still valid");
  }
  const auto* writes = find_load(report, LoadKind::kTransactions);
  if (writes != nullptr && expected.writes_refused_after && writes->last_success &&
      *writes->last_success > *expected.writes_refused_after) {
    report.broken.push_back("a transaction was committed " + render_duration(writes->last_success) +
                            " after the majority was gone");
  }
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
  judge_real_loads(expected, report);
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
  judge_address(expected, report);
  judge_peers(expected, report);
  if (expected.refused_max) {
    int refused = 0;
    for (const auto& service : report.services) {
      const auto found = service.reasons.find(std::string(base::name_of(ErrorCode::kRefused)));
      if (found != service.reasons.end()) refused += found->second;
    }
    if (refused > *expected.refused_max) {
      report.broken.push_back(std::to_string(refused) + " connections refused, " +
                              std::to_string(*expected.refused_max) + " allowed");
    }
  }
  if (expected.answering_min &&
      report.spread.size() < static_cast<std::size_t>(*expected.answering_min)) {
    report.broken.push_back(report.watched_proxy + " answered by " + render_names(report.spread) +
                            " at the end, " + std::to_string(*expected.answering_min) +
                            " hosts expected");
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

namespace {

// "node01 > node02", "node01".
std::string render_move(const PhaseReport& report) {
  if (!report.outage) return {};
  if (report.holder_before == report.holder_after) return report.holder_after;
  return report.holder_before + " > " + report.holder_after;
}

struct Column {
  std::string_view title;
  std::function<std::string(const PhaseReport&)> cell;
};

// A duration that is nothing says nothing.
std::string render_span(const PhaseReport& report, OwnershipSpans OwnershipReport::*span) {
  if (!report.ownership) return {};
  const Duration longest = ((*report.ownership).*span).longest;
  return longest == Duration(0) ? "-" : render_duration(longest);
}

std::vector<Column> columns() {
  const auto watched = [](const PhaseReport& report, auto figure) {
    const ServiceReport* service = find_service(report, report.watched_proxy);
    return service == nullptr ? std::string("-") : figure(*service);
  };
  const auto change = [](std::optional<Duration> PhaseReport::*at) {
    return [at](const PhaseReport& report) {
      return report.change_expected ? render_duration(report.*at) : std::string();
    };
  };
  return {
      {"drill", [](const auto& report) { return report.phase; }},
      {"requests", [](const auto& report) { return std::to_string(totals_of(report).requests); }},
      {"failed",
       [](const auto& report) {
         const Totals totals = totals_of(report);
         return std::to_string(totals.failed + totals.failed_in_flight);
       }},
      {"slow", [](const auto& report) { return std::to_string(totals_of(report).slow); }},
      {"longest gap",
       [=](const auto& report) {
         return watched(report,
                        [](const auto& service) { return render_duration(service.gap_longest); });
       }},
      {"first success",
       [=](const auto& report) {
         return watched(report,
                        [](const auto& service) { return render_duration(service.first_success); });
       }},
      {"detected", change(&PhaseReport::detected)},
      {"decided", change(&PhaseReport::decided)},
      {"acted", change(&PhaseReport::acted)},
      {"address", render_move},
      {"silent",
       [](const auto& report) {
         return report.outage ? render_duration(report.outage) : std::string();
       }},
      {"nobody", [](const auto& report) { return render_span(report, &OwnershipReport::nobody); }},
      {"two", [](const auto& report) { return render_span(report, &OwnershipReport::overlap); }},
      {"verdict", [](const auto& report) { return report.broken.empty() ? "held" : "BROKEN"; }},
  };
}

using Rows = std::vector<std::vector<std::string>>;

// A row of titles and one for each report. What no report has anything to say in is left out.
Rows lay_out(std::span<const Column> columns, std::span<const PhaseReport> reports) {
  Rows rows(reports.size() + 1);
  for (const auto& column : columns) {
    std::vector<std::string> cells = {std::string(column.title)};
    for (const auto& report : reports) cells.push_back(column.cell(report));
    if (std::all_of(cells.begin() + 1, cells.end(),
                    [](const auto& cell) { return cell.empty(); })) {
      continue;
    }
    std::size_t width = 0;
    for (const auto& cell : cells) width = std::max(width, cell.size());
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const std::string padding(width - cells[row].size(), ' ');
      const bool to_the_left = rows[row].empty() || column.title == "verdict";
      rows[row].push_back(to_the_left ? cells[row] + padding : padding + cells[row]);
    }
  }
  return rows;
}

std::string join(std::span<const std::string> cells) {
  std::string line;
  for (const auto& cell : cells) line += line.empty() ? cell : "  " + cell;
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

std::string render_audit(const std::optional<TokenAudit>& audit) {
  if (!audit) return {};
  return std::to_string(audit->valid) + " of " + std::to_string(audit->asked);
}

std::vector<Column> real_columns() {
  const auto of = [](LoadKind kind, auto figure) {
    return [kind, figure](const PhaseReport& report) {
      const ServiceReport* load = find_load(report, kind);
      return load == nullptr ? std::string() : figure(*load);
    };
  };
  const auto count = [](const ServiceReport& load) { return std::to_string(load.requests); };
  const auto lost = [](const ServiceReport& load) { return std::to_string(lost_of(load)); };
  const auto slowest = [](const ServiceReport& load) { return render_duration(load.slowest); };
  return {
      {"drill", [](const auto& report) { return report.phase; }},
      {"tokens", of(LoadKind::kTokens, count)},
      {"failed", of(LoadKind::kTokens, lost)},
      {"slowest", of(LoadKind::kTokens, slowest)},
      {"valid: from before", [](const auto& report) { return render_audit(report.tokens_before); }},
      {"from then", [](const auto& report) { return render_audit(report.tokens_within); }},
      {"transactions", of(LoadKind::kTransactions, count)},
      {"failed", of(LoadKind::kTransactions, lost)},
      {"slowest", of(LoadKind::kTransactions, slowest)},
  };
}

std::vector<Column> peer_columns() {
  const auto of = [](auto figure) {
    return [figure](const PhaseReport& report) {
      return report.peers ? std::string(figure(*report.peers)) : std::string();
    };
  };
  using Peers = PhaseReport::Peers;
  return {
      {"drill", [](const auto& report) { return report.phase; }},
      {"doubted", of([](const Peers& peers) { return render_duration(peers.doubted); })},
      {"verdict", of([](const Peers& peers) { return render_duration(peers.verdict_last); })},
      {"rules stand", of([](const Peers& peers) { return render_duration(peers.rules.all); })},
      {"told", of([](const Peers& peers) { return render_duration(peers.clients.told); })},
      {"refused", of([](const Peers& peers) { return render_duration(peers.clients.refused); })},
      {"in", of([](const Peers& peers) { return render_duration(peers.clients.refusal_took); })},
      {"longest wait",
       of([](const Peers& peers) { return render_duration(peers.clients.waited); })},
      {"connected",
       of([](const Peers& peers) { return render_duration(peers.clients.connected); })},
      {"reached", of([](const Peers& peers) { return render_duration(peers.reached); })},
      {"rules gone",
       of([](const Peers& peers) { return render_duration(peers.rules.gone_after); })},
      {"outlived", of([](const Peers& peers) { return std::to_string(peers.rules.outlived); })},
      {"verdicts",
       of([](const Peers& peers) { return std::to_string(peers.rules.verdicts_most); })},
      {"services back", of([](const Peers& peers) {
         return peers.services_back.empty() ? "" : render_duration(slowest_back(peers));
       })},
  };
}

}  // namespace

std::string render_table(std::span<const PhaseReport> reports) {
  const auto rows = lay_out(columns(), reports);
  std::string text;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    text += join(rows[row]);
    if (row == 0) continue;
    for (const auto& each : reports[row - 1].broken) text += "    " + each + '\n';
    for (const auto& each : reports[row - 1].hazards) text += "    hazard: " + each + '\n';
  }
  const bool real = std::any_of(reports.begin(), reports.end(), [](const auto& report) {
    return find_load(report, LoadKind::kTokens) != nullptr ||
           find_load(report, LoadKind::kTransactions) != nullptr;
  });
  const auto add = [&](const std::vector<Column>& columns) {
    text += '\n';
    for (const auto& row : lay_out(columns, reports)) text += join(row);
  };
  if (real) add(real_columns());
  const bool peers = std::any_of(reports.begin(), reports.end(),
                                 [](const auto& report) { return report.peers.has_value(); });
  if (peers) add(peer_columns());
  return text;
}

}  // namespace nines::lab
