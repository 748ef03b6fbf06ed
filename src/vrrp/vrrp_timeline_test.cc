// Golden timelines: what happens to one instance, line by line, and all that it does about it, with
// the millisecond. testdata/timelines/NAME.in beside NAME.expected; the timers between two lines
// fire by themselves.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "base/check.h"
#include "vrrp/vrrp.h"

namespace nines::vrrp {
namespace {

constexpr Instant kOrigin{1'000'000'000'000};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

SocketAddress ip(const std::string& text) { return *SocketAddress::parse_ip(text, 0); }

class Timeline {
 public:
  // Returns what the machine did, a line for each effect.
  std::string run(const std::string& input) {
    std::istringstream lines(input);
    std::string line;
    while (std::getline(lines, line)) {
      if (line.empty() || line[0] == '#') continue;
      std::istringstream words(line);
      std::string first;
      words >> first;
      if (first == "instance") {
        configure(words);
        machine_.emplace(instance_, master_seen_at_);
      } else {
        advance_to(kOrigin + std::chrono::milliseconds(std::stol(first)));
        happen(words);
      }
    }
    return output_.str();
  }

 private:
  void configure(std::istringstream& words) {
    std::string word;
    while (words >> word) {
      if (word == "nopreempt") {
        instance_.nopreempt = true;
        continue;
      }
      if (word == "as_master") {
        master_seen_at_ = kOrigin;
        continue;
      }
      if (word == "lower_prio_no_advert") {
        instance_.lower_priority_no_advert = true;
        continue;
      }
      long value = 0;
      words >> value;
      const auto time = std::chrono::milliseconds(value);
      if (word == "priority") instance_.priority = static_cast<int>(value);
      if (word == "version") instance_.version = static_cast<int>(value);
      if (word == "advert_int") instance_.advert_int = time;
      if (word == "preempt_delay") instance_.preempt_delay = time;
      if (word == "garp_master_delay") instance_.announcements.master_delay = time;
      if (word == "garp_master_refresh") instance_.announcements.master_refresh = time;
    }
    instance_.virtual_router_id = 51;
  }

  void happen(std::istringstream& words) {
    std::string what;
    words >> what;
    if (what == "advert") {
      event::AdvertHeard advert;
      std::string source;
      long interval = 0;
      words >> advert.priority >> source;
      advert.source = ip(source);
      advert.interval =
          words >> interval ? Duration(std::chrono::milliseconds(interval)) : instance_.advert_int;
      handle(advert);
    } else if (what == "conditions") {
      event::Conditions conditions;
      conditions.primary = ip("10.0.0.5");
      std::string word;
      while (words >> word) {
        if (word == "unknown") conditions.known = false;
        if (word == "faults") words >> conditions.faults;
        if (word == "weight") words >> conditions.weight;
      }
      handle(conditions);
    } else if (what == "reload") {
      configure(words);
      handle(event::Reload{instance_});
    } else if (what == "link") {
      handle(event::LinkRestored{});
    } else if (what == "lost") {
      handle(event::AddressesLost{});
    } else if (what == "handover") {
      handle(event::HandOver{});
    } else if (what == "stop") {
      handle(event::Stop{});
    } else if (what == "paused") {
      // Nothing ran until here: the timers before it were not served.
      long until = 0;
      words >> until;
      now_ = kOrigin + std::chrono::milliseconds(until);
      // What wakes it is a timer, unless the rest of the line says otherwise.
      if (words >> std::ws; !words.eof()) return happen(words);
      handle(event::TimerFired{});
    } else {
      CHECK(what == "end");
    }
  }

  void advance_to(Instant until) {
    while (machine_->deadline() && *machine_->deadline() <= until) {
      now_ = std::max(now_, *machine_->deadline());
      handle(event::TimerFired{});
    }
    now_ = until;
  }

  void handle(const Event& event) {
    Effects effects;
    machine_->handle(event, now_, effects);
    for (const Effect& effect : effects) {
      char time[32];
      std::snprintf(time, sizeof time, "%9.1f ",
                    static_cast<double>((now_ - kOrigin).count()) / 1e6);
      output_ << time;
      switch (effect.kind) {
        case Effect::Kind::kSendAdvert:
          output_ << "advert " << effect.value;
          break;
        case Effect::Kind::kTakeAddresses:
          output_ << "take";
          break;
        case Effect::Kind::kDropAddresses:
          output_ << "drop";
          break;
        case Effect::Kind::kAnnounce:
          output_ << "announce " << effect.value;
          break;
        case Effect::Kind::kNotify:
          output_ << "state " << name_of(effect.state);
          break;
        case Effect::Kind::kRivalBeaten:
          output_ << "rival beaten";
          break;
      }
      output_ << "\n";
    }
  }

  VrrpInstance instance_;
  std::optional<Instant> master_seen_at_;
  std::optional<Vrrp> machine_;
  Instant now_ = kOrigin;
  std::ostringstream output_;
};

TEST(VrrpTimelines, EachGoesAsItIsWritten) {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(NINES_TESTDATA) / "timelines")) {
    if (entry.path().extension() != ".in") continue;
    ++count;
    std::filesystem::path expected = entry.path();
    expected.replace_extension(".expected");
    const std::string actual = Timeline().run(read_file(entry.path()));
    // Read what it wrote before you keep it.
    if (std::getenv("NINES_TIMELINES_WRITE") != nullptr) std::ofstream(expected) << actual;
    EXPECT_EQ(actual, read_file(expected)) << entry.path();
  }
  EXPECT_GE(count, 10);
}

}  // namespace
}  // namespace nines::vrrp
