// A drill second by second, as values: what was done, who held the address, and what became of the
// requests that clients began in each tenth of a second. Kept as text, so that a picture can be
// drawn of it later. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "lab/drill_report.h"
#include "lab/ownership.h"

namespace nines::lab {

inline constexpr Duration kStoryStep = 100ms;
inline constexpr Duration kStoryMax = std::chrono::hours(1);
// As much is told of the time before the first fault.
inline constexpr Duration kStoryLead = 1s;

// All times count from the story's begin.
struct DrillStory {
  struct Fault {
    Duration at{};
    std::string what;
    friend bool operator==(const Fault&, const Fault&) = default;
  };
  struct Requests {
    int good = 0;
    int slow = 0;    // succeeded, and took longer than kSlowRequest
    int failed = 0;  // or never ended
    friend bool operator==(const Requests&, const Requests&) = default;
  };

  std::string title;
  Duration length{};
  std::vector<Fault> faults;
  std::vector<std::string> hosts;  // those that may hold the address, in the order of the picture
  std::vector<Holding> holdings;
  std::vector<AnnouncementBurst> bursts;
  std::vector<Requests> requests;  // by when they began; an element for each kStoryStep

  friend bool operator==(const DrillStory&, const DrillStory&) = default;
};

// Counts the records that began in the window into `requests`, which it makes long enough; called
// again for each proxy. At most kStoryMax of the window.
void count_requests(std::span<const RequestRecord> records, const Window& window,
                    std::vector<DrillStory::Requests>& requests);

// JSON, for each story an object on a line. Reading back: kInvalid says which story, what was found
// and what is allowed.
std::string to_text(std::span<const DrillStory> stories);
Result<std::vector<DrillStory>> parse_drill_stories(std::string_view text);
inline constexpr std::size_t kStoriesMax = 1000;

}  // namespace nines::lab
