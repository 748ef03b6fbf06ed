// Times are whole milliseconds in the text: a picture shows no less, and a story stays short.
#include "lab/drill_story.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace nines::lab {
namespace {

using Json = nlohmann::ordered_json;
using Requests = DrillStory::Requests;

constexpr std::size_t kStepsMax = static_cast<std::size_t>(kStoryMax / kStoryStep);
constexpr std::size_t kListMax = 10'000;  // of a story: faults, hosts, holdings, bursts
constexpr int kCountMax = 1'000'000'000;

struct Column {
  const char* key;
  int Requests::*count;
};
constexpr Column kColumns[] = {
    {"good", &Requests::good}, {"slow", &Requests::slow}, {"failed", &Requests::failed}};

Json to_json(const DrillStory& story) {
  Json faults = Json::array();
  for (const auto& each : story.faults) {
    faults.push_back({{"at_ms", milliseconds_of(each.at)}, {"what", each.what}});
  }
  Json holdings = Json::array();
  for (const auto& each : story.holdings) {
    holdings.push_back({{"host", each.host},
                        {"begin_ms", milliseconds_of(each.begin)},
                        {"end_ms", milliseconds_of(each.end)},
                        {"cut_off", each.cut_off}});
  }
  Json bursts = Json::array();
  for (const auto& each : story.bursts) {
    bursts.push_back(
        {{"host", each.host}, {"at_ms", milliseconds_of(each.at)}, {"count", each.count}});
  }
  Json requests = Json::object();
  for (const auto& column : kColumns) {
    Json counts = Json::array();
    for (const auto& each : story.requests) counts.push_back(each.*column.count);
    requests[column.key] = std::move(counts);
  }
  return {{"title", story.title},
          {"length_ms", milliseconds_of(story.length)},
          {"faults", faults},
          {"hosts", story.hosts},
          {"holdings", holdings},
          {"announcements", bursts},
          {"requests", std::move(requests)}};
}

// Reads one story; what is wrong with it is told with where it was found.
class StoryReader {
 public:
  explicit StoryReader(std::size_t number) : number_(number) {}

  Result<DrillStory> read(const Json& json) const {
    DrillStory story;
    story.title = TRY(text(json, "title"));
    story.length = TRY(time(json, "length_ms"));
    for (const auto& each : *TRY(list(json, "faults", kListMax))) {
      const auto at = TRY(time(each, "at_ms"));
      story.faults.push_back({at, TRY(text(each, "what"))});
    }
    for (const auto& each : *TRY(list(json, "hosts", kListMax))) {
      if (!each.is_string()) return wrong("\"hosts\" has " + each.dump(), "a string");
      story.hosts.push_back(each.get<std::string>());
    }
    for (const auto& each : *TRY(list(json, "holdings", kListMax))) {
      Holding holding{.host = TRY(text(each, "host")),
                      .begin = TRY(time(each, "begin_ms")),
                      .end = TRY(time(each, "end_ms")),
                      .cut_off = false};
      const Json& cut_off = *TRY(member(each, "cut_off"));
      if (!cut_off.is_boolean()) return wrong("\"cut_off\": " + cut_off.dump(), "true or false");
      holding.cut_off = cut_off.get<bool>();
      story.holdings.push_back(std::move(holding));
    }
    for (const auto& each : *TRY(list(json, "announcements", kListMax))) {
      const Json* burst = TRY(member(each, "count"));
      story.bursts.push_back({.host = TRY(text(each, "host")),
                              .at = TRY(time(each, "at_ms")),
                              .count = TRY(count(*burst))});
    }
    const Json& requests = *TRY(member(json, "requests"));
    for (const auto& column : kColumns) {
      const Json& counts = *TRY(list(requests, column.key, kStepsMax));
      if (&column == &kColumns[0]) story.requests.resize(counts.size());
      if (counts.size() != story.requests.size()) {
        return wrong('"' + std::string(column.key) + "\" of " + std::to_string(counts.size()),
                     "as many as \"good\" has");
      }
      for (std::size_t i = 0; i < counts.size(); ++i) {
        story.requests[i].*column.count = TRY(count(counts[i]));
      }
    }
    return story;
  }

 private:
  Result<const Json*> member(const Json& object, const char* key) const {
    if (!object.is_object()) return wrong(object.dump(), "an object");
    const auto found = object.find(key);
    if (found == object.end()) return wrong("no \"" + std::string(key) + '"', "one");
    return &*found;
  }
  Result<std::string> text(const Json& object, const char* key) const {
    const Json& value = *TRY(member(object, key));
    if (!value.is_string()) return wrong_value(key, value, "a string");
    return value.get<std::string>();
  }
  Result<Duration> time(const Json& object, const char* key) const {
    const Json& value = *TRY(member(object, key));
    if (!value.is_number_integer() || value.get<double>() < 0 ||
        value.get<double>() > static_cast<double>(milliseconds_of(kStoryMax))) {
      return wrong_value(key, value, "whole milliseconds from 0 to an hour");
    }
    return Duration(std::chrono::milliseconds(value.get<std::int64_t>()));
  }
  Result<int> count(const Json& value) const {
    if (!value.is_number_integer() || value.get<double>() < 0 || value.get<double>() > kCountMax) {
      return wrong(value.dump(), "a count");
    }
    return value.get<int>();
  }
  Result<const Json*> list(const Json& object, const char* key, std::size_t most) const {
    const Json* value = TRY(member(object, key));
    if (!value->is_array()) return wrong_value(key, *value, "a list");
    if (value->size() > most) {
      return wrong('"' + std::string(key) + "\" of " + std::to_string(value->size()),
                   "at most " + std::to_string(most));
    }
    return value;
  }
  Error wrong_value(const char* key, const Json& value, const std::string& allowed) const {
    return wrong('"' + std::string(key) + "\": " + value.dump(), allowed);
  }
  Error wrong(const std::string& found, const std::string& allowed) const {
    return Error(ErrorCode::kInvalid, "story " + std::to_string(number_) + " has " + found + "; " +
                                          allowed + " is allowed");
  }

  std::size_t number_;
};

}  // namespace

void count_requests(std::span<const RequestRecord> records, const Window& window,
                    std::vector<DrillStory::Requests>& requests) {
  const Duration length = std::min(window.end - window.begin, Duration(kStoryMax));
  if (length <= Duration{}) return;
  const auto steps = static_cast<std::size_t>((length + kStoryStep - 1ns) / kStoryStep);
  if (requests.size() < steps) requests.resize(steps);
  for (const auto& record : records) {
    const Duration begun = record.begun - window.begin;
    if (begun < Duration{} || begun >= length) continue;
    auto& counted = requests[static_cast<std::size_t>(begun / kStoryStep)];
    if (record.outcome != Outcome::kSuccess) {
      ++counted.failed;
    } else if (record.ended - record.begun > kSlowRequest) {
      ++counted.slow;
    } else {
      ++counted.good;
    }
  }
}

std::string to_text(std::span<const DrillStory> stories) {
  std::string text = "{\"stories\": [";
  for (std::size_t i = 0; i < stories.size(); ++i) {
    text += (i == 0 ? "\n  " : ",\n  ") + to_json(stories[i]).dump();
  }
  return text + "\n]}\n";
}

Result<std::vector<DrillStory>> parse_drill_stories(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("stories") || !json["stories"].is_array()) {
    return Error(ErrorCode::kInvalid,
                 "no stories of drills: an object with a list \"stories\" is allowed");
  }
  if (json["stories"].size() > kStoriesMax) {
    return Error(ErrorCode::kExhausted, std::to_string(json["stories"].size()) + " stories; " +
                                            std::to_string(kStoriesMax) + " are allowed");
  }
  std::vector<DrillStory> stories;
  for (const auto& each : json["stories"]) {
    stories.push_back(TRY(StoryReader(stories.size() + 1).read(each)));
  }
  return stories;
}

}  // namespace nines::lab
