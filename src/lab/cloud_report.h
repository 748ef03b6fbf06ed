// What a drill on an OpenStack has measured, as values: tokens, lists and servers to figures of a
// run, a picture's story, and a table of many runs. Pure.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "lab/drill_report.h"
#include "lab/drill_series.h"
#include "lab/drill_story.h"

namespace nines::lab {

// The client's doings. A server's record begins with the request for it and ends when it is ACTIVE
// (a success) or ERROR, or when the request for it failed.
struct CloudRecords {
  std::vector<RequestRecord> tokens, lists, servers;
};

// So many servers are asked for, the first one under way at the fault; then no more.
inline constexpr int kServersAsked = 12;
// A picture calls a server slow that took longer.
inline constexpr Duration kSlowServer = 3s;

struct CloudFigures {
  int asked = 0;
  int failed = 0;    // or never ended
  Duration worst{};  // from begin to end, whatever the end was
  friend bool operator==(const CloudFigures&, const CloudFigures&) = default;
};

// One second of a run.
struct CloudSecond {
  int second = 0;  // since the fault, by when they began; -1: the last one before it
  CloudFigures tokens, lists, servers;
  friend bool operator==(const CloudSecond&, const CloudSecond&) = default;
};

// A server, the first time by the fault.
struct CloudServer {
  Duration begun{};  // since the fault
  Duration took{};
  bool active = false;
  std::string reason;  // of one that is not
  friend bool operator==(const CloudServer&, const CloudServer&) = default;
};

struct CloudRow {
  std::string scenario, engine;
  int run = 1;
  CloudFigures tokens, lists, servers;  // under way at the fault or begun after it
  std::map<std::string, int> left;      // servers by their status at the end: "BUILD", "ERROR"
  std::vector<CloudServer> each;        // those counted in `servers`
  std::vector<CloudSecond> seconds;
  friend bool operator==(const CloudRow&, const CloudRow&) = default;

  int left_as(std::string_view status) const;
};

// Figures of the records that were under way at `window.begin` or begun in it.
CloudFigures figures_of(std::span<const RequestRecord> records, const Window& window);
// Of the servers only the first kServersAsked count. Names and `left` are the caller's to set.
CloudRow measure_cloud(const CloudRecords& records, const Window& window);

// Requests as the picture counts them; the rest of the story is the caller's.
std::vector<DrillStory::Requests> requests_of(const CloudRecords& records, const Window& window);

struct CloudSeries {
  std::map<std::string, std::string> about;  // the machine
  std::vector<CloudRow> rows;
  std::vector<std::string> failed;  // runs that could not be made, and why
};

// JSON, an object a line for each row. Reading back: kInvalid says what was found.
std::string to_text(const CloudSeries& series);
Result<CloudSeries> parse_cloud_series(std::string_view text);
inline constexpr std::size_t kCloudRowsMax = 1000;

// A line for each scenario and engine, in the order of the rows.
std::string render_cloud_series(std::span<const CloudRow> rows, TableStyle style);

}  // namespace nines::lab
