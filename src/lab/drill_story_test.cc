// Requests counted into tenths of a second; stories to text and back; the picture well formed.
#include "lab/drill_story.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lab/drill_picture.h"

namespace nines::lab {
namespace {

Instant at(int milliseconds) { return Instant{} + std::chrono::milliseconds(milliseconds); }

RequestRecord record(int begun, int ended, Outcome outcome = Outcome::kSuccess) {
  return {at(begun), at(ended), outcome, {}, -1};
}

DrillStory story() {
  DrillStory result;
  result.title = "host-dies, nines & <others>";
  result.length = 5s;
  result.faults = {{1s, "node01 dies"}, {1100ms, "node02 dies"}, {4s, "node01 returns"}};
  result.hosts = {"node01", "node02"};
  result.holdings = {{"node01", 0ms, 1s, false}, {"node02", 4s, 5s, true}};
  result.bursts = {{"node02", 4001ms, 5}};
  result.requests.resize(50, {.good = 40, .slow = 0, .failed = 0});
  result.requests[12] = {.good = 0, .slow = 3, .failed = 17};
  return result;
}

TEST(DrillStory, RequestsAreCountedByWhenTheyBegan) {
  std::vector<DrillStory::Requests> requests;
  const std::vector<RequestRecord> records = {record(999, 1001),
                                              record(1000, 1010),
                                              record(1099, 1500),
                                              record(1100, 1700),
                                              record(1199, 1200, Outcome::kFailed),
                                              record(1199, 9000, Outcome::kUnfinished),
                                              record(1250, 1260),
                                              record(1260, 1270)};
  count_requests(records, {at(1000), at(1260)}, requests);
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0], (DrillStory::Requests{2, 0, 0}));
  EXPECT_EQ(requests[1], (DrillStory::Requests{0, 1, 2}));
  EXPECT_EQ(requests[2], (DrillStory::Requests{1, 0, 0}));
  count_requests(std::vector{record(1000, 1001)}, {at(1000), at(1260)}, requests);
  EXPECT_EQ(requests[0].good, 3);
}

TEST(DrillStory, WindowIsBounded) {
  std::vector<DrillStory::Requests> requests;
  count_requests(std::vector{record(10, 11)}, {at(0), Instant{} + std::chrono::hours(100)},
                 requests);
  EXPECT_EQ(requests.size(), 36'000U);
  requests.clear();
  count_requests(std::vector{record(10, 11)}, {at(20), at(0)}, requests);
  EXPECT_TRUE(requests.empty());
}

TEST(DrillStory, TextComesBackAsItWent) {
  const std::vector<DrillStory> stories = {story(), {}};
  const auto found = parse_drill_stories(to_text(stories));
  ASSERT_TRUE(found.has_value()) << found.error().message();
  EXPECT_EQ(*found, stories);
}

TEST(DrillStory, MistakesAreNamed) {
  const std::string good = to_text(std::vector{story()});
  const auto message = [&](const std::string& old, const std::string& now) {
    std::string text = good;
    const auto place = text.find(old);
    EXPECT_NE(place, std::string::npos) << old;
    text.replace(place, old.size(), now);
    const auto found = parse_drill_stories(text);
    return found.has_value() ? std::string("good") : found.error().message();
  };
  EXPECT_EQ(message("\"length_ms\":5000", "\"length_ms\":-1"),
            "story 1 has \"length_ms\": -1; whole milliseconds from 0 to an hour is allowed");
  EXPECT_EQ(message("\"length_ms\":5000", "\"length\":1"),
            "story 1 has no \"length_ms\"; one is allowed");
  EXPECT_EQ(message("\"cut_off\":false", "\"cut_off\":0"),
            "story 1 has \"cut_off\": 0; true or false is allowed");
  EXPECT_EQ(message("\"count\":5", "\"count\":\"5\""), "story 1 has \"5\"; a count is allowed");
  EXPECT_EQ(message("\"slow\":[0,", "\"slow\":["),
            "story 1 has \"slow\" of 49; as many as \"good\" has is allowed");
  EXPECT_EQ(message("[\"node01\",\"node02\"]", "[1]"),
            "story 1 has \"hosts\" has 1; a string is "
            "allowed");
  for (const char* text : {"", "{}", "[]", R"({"stories":1})", R"({"stories":[1]})"}) {
    const auto found = parse_drill_stories(text);
    ASSERT_FALSE(found.has_value()) << text;
    EXPECT_EQ(found.error().code(), ErrorCode::kInvalid);
  }
}

int count(std::string_view text, std::string_view part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

TEST(DrillPicture, HasAPanelForEachStory) {
  DrillStory second = story();
  second.title = "host-dies, incumbent";
  second.length = 8s;
  const std::string picture = draw_stories(std::vector{story(), second});
  EXPECT_TRUE(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_TRUE(picture.ends_with("</svg>\n"));
  EXPECT_NE(picture.find("host-dies, nines &amp; &lt;others&gt;"), std::string::npos);
  EXPECT_NE(picture.find("host-dies, incumbent"), std::string::npos);
  EXPECT_EQ(count(picture, "17 failed</title>"), 2);
  EXPECT_EQ(count(picture, "node01 holds the address from 0.00 s to 1.00 s"), 2);
  EXPECT_EQ(count(picture, "node02 holds the address behind a cut from 4.00 s to 5.00 s"), 2);
  EXPECT_EQ(count(picture, "node02 announces x5 at 4.00 s"), 2);
  EXPECT_EQ(count(picture, ">node02 dies</text>"), 2);
  // Every element is closed.
  EXPECT_EQ(count(picture, "<rect"), count(picture, "/>") + count(picture, "</rect>") -
                                         count(picture, "<line") - count(picture, "<path") +
                                         count(picture, "</path>"));
  EXPECT_EQ(count(picture, "<text"), count(picture, "</text>"));
}

TEST(DrillPicture, LongStoryStaysWithinThePicture) {
  DrillStory wild = story();
  wild.length = 1s;
  wild.holdings = {{"node01", 0ms, std::chrono::hours(2), false}, {"unknown", 0ms, 1s, false}};
  wild.faults = {{std::chrono::hours(3), "late"}};
  const std::string picture = draw_stories(std::vector{wild});
  EXPECT_EQ(count(picture, "unknown"), 0);
  EXPECT_EQ(count(picture, "x=\"9400"), 0);
  EXPECT_NE(picture.find("x=\"937\" y=\""), std::string::npos);  // "late", before the right edge
}

TEST(DrillPicture, ThinBarsArePutTogether) {
  DrillStory longer = story();
  longer.length = 100s;
  longer.requests.assign(1000, {.good = 1, .slow = 0, .failed = 0});
  const std::string picture = draw_stories(std::vector{longer});
  EXPECT_EQ(count(picture, ": 5 good</title>"), 200);
  EXPECT_EQ(count(picture, ">begun in 500 ms</text>"), 1);
}

TEST(DrillPicture, NothingIsAPictureToo) {
  EXPECT_TRUE(draw_stories({}).ends_with("</svg>\n"));
  EXPECT_TRUE(draw_stories(std::vector<DrillStory>(1)).ends_with("</svg>\n"));
}

}  // namespace
}  // namespace nines::lab
