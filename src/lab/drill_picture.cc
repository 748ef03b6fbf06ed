// Numbers to coordinates in one place (Panel), and everything that is drawn goes through it.
#include "lab/drill_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

namespace nines::lab {
namespace {

// Pixels.
constexpr double kWidth = 960;
constexpr double kLeft = 110;  // the lanes' names
constexpr double kRight = 20;
constexpr double kTitleHeight = 28;
constexpr double kFaultHeight = 15;  // a line of a fault's words
constexpr double kBarsHeight = 110;
constexpr double kLaneHeight = 20;
constexpr double kAxisHeight = 30;
constexpr double kPanelGap = 18;
constexpr double kLegendHeight = 26;
constexpr double kLetterWidth = 6.2;  // of the small letters, about
constexpr int kTicksMax = 16;
constexpr double kBarMin = 2.5;  // thinner ones are put together

// Told apart without seeing colours too: by brightness, and by the hatching of what is cut off.
constexpr std::string_view kGood = "#9fc5e8";
constexpr std::string_view kSlow = "#e69f00";
constexpr std::string_view kFailed = "#a61c00";
constexpr std::string_view kHeld = "#38761d";
constexpr std::string_view kLane = "#f3f3f3";
constexpr std::string_view kInk = "#222222";
constexpr std::string_view kFaint = "#bbbbbb";

std::string number(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1f", value);
  std::string_view view = text.data();
  if (view.ends_with(".0")) view.remove_suffix(2);
  return std::string(view);
}

std::string escaped(std::string_view text) {
  std::string result;
  for (const char each : text) {
    switch (each) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        // XML allows no other control characters.
        result += static_cast<unsigned char>(each) < 0x20 ? ' ' : each;
    }
  }
  return result;
}

std::string seconds(Duration duration) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.2f s", static_cast<double>(duration.count()) / 1e9);
  return text.data();
}

void rectangle(std::string& out, double x, double y, double width, double height,
               std::string_view fill, std::string_view hint = {}) {
  out += "<rect x=\"" + number(x) + "\" y=\"" + number(y) + "\" width=\"" + number(width) +
         "\" height=\"" + number(height) + "\" fill=\"" + std::string(fill) + '"';
  out += hint.empty() ? "/>\n" : "><title>" + escaped(hint) + "</title></rect>\n";
}

void line(std::string& out, double x1, double y1, double x2, double y2, std::string_view ink,
          std::string_view more = {}) {
  out += "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) +
         "\" y2=\"" + number(y2) + "\" stroke=\"" + std::string(ink) + '"' + std::string(more) +
         "/>\n";
}

void words(std::string& out, double x, double y, std::string_view text,
           std::string_view more = {}) {
  out += "<text x=\"" + number(x) + "\" y=\"" + number(y) + '"' + std::string(more) + '>' +
         escaped(text) + "</text>\n";
}

// 1, 2 or 5 times a power of ten: the least that gives no more than kTicksMax of `length`.
Duration tick_of(Duration length) {
  Duration unit = 100ms;
  while (true) {
    for (const int times : {1, 2, 5}) {
      if (length / (unit * times) <= kTicksMax) return unit * times;
    }
    unit *= 10;
  }
}

class Panel {
 public:
  Panel(const DrillStory& story, Duration scale, double top, std::string& out)
      : story_(story), scale_(scale), top_(top), out_(out) {
    place_faults();
    bars_ = top_ + kTitleHeight + kFaultHeight * static_cast<double>(fault_lines_);
    lanes_ = bars_ + kBarsHeight + 8;
    axis_ = lanes_ + kLaneHeight * static_cast<double>(story_.hosts.size());
  }

  double bottom() const { return axis_ + kAxisHeight; }

  void draw() {
    words(out_, kLeft, top_ + 16, story_.title, " font-size=\"14\" font-weight=\"bold\"");
    draw_requests();
    draw_lanes();
    draw_axis();
    draw_faults();
  }

 private:
  double x_of(Duration at) const {
    const Duration within = std::clamp(at, Duration{}, scale_);
    return kLeft + (kWidth - kLeft - kRight) * static_cast<double>(within.count()) /
                       static_cast<double>(scale_.count());
  }

  double width_of(const DrillStory::Fault& fault) const {
    return kLetterWidth * static_cast<double>(fault.what.size() + 1);
  }
  // At the right edge they stand before the line.
  bool is_left(const DrillStory::Fault& fault) const {
    return x_of(fault.at) + width_of(fault) > kWidth;
  }

  // Words that would overlap get a line of their own.
  void place_faults() {
    std::vector<double> ends;
    for (const auto& fault : story_.faults) {
      const double begin = x_of(fault.at) - (is_left(fault) ? width_of(fault) : 0);
      std::size_t at = 0;
      while (at < ends.size() && ends[at] > begin) ++at;
      if (at == ends.size()) ends.push_back(0);
      ends[at] = begin + width_of(fault);
      fault_line_.push_back(at);
    }
    fault_lines_ = ends.size();
  }

  // How many steps a bar stands for: two at least, or clients who begin every 200 ms look like a
  // comb.
  int steps_of_a_bar() const {
    for (int steps = 2;; steps = steps == 2 ? 5 : steps * 2) {
      const bool wide = x_of(kStoryStep * steps) - kLeft >= kBarMin;
      if (wide || kStoryStep * steps >= scale_) return steps;
    }
  }

  void draw_requests() {
    const int steps = steps_of_a_bar();
    std::vector<DrillStory::Requests> bars;
    for (std::size_t i = 0; i < story_.requests.size(); ++i) {
      if (i % static_cast<std::size_t>(steps) == 0) bars.emplace_back();
      bars.back().good += story_.requests[i].good;
      bars.back().slow += story_.requests[i].slow;
      bars.back().failed += story_.requests[i].failed;
    }
    int most = 1;
    for (const auto& each : bars) most = std::max(most, each.good + each.slow + each.failed);
    const double unit = kBarsHeight / most;
    const double floor = bars_ + kBarsHeight;
    const std::string step = std::to_string(milliseconds_of(kStoryStep * steps));
    words(out_, kLeft - 8, bars_ + 10, std::to_string(most), " text-anchor=\"end\"");
    words(out_, kLeft - 8, bars_ + kBarsHeight / 2, "requests", " text-anchor=\"end\"");
    words(out_, kLeft - 8, bars_ + kBarsHeight / 2 + 12, "begun in " + step + " ms",
          " text-anchor=\"end\"");
    words(out_, kLeft - 8, floor, "0", " text-anchor=\"end\"");
    for (std::size_t i = 0; i < bars.size(); ++i) {
      const auto& each = bars[i];
      const Duration at = kStoryStep * steps * static_cast<std::int64_t>(i);
      if (at >= story_.length) break;
      const double x = x_of(at);
      const double width = x_of(std::min(at + kStoryStep * steps, story_.length)) - x;
      double y = floor;
      const auto bar = [&](int count, std::string_view fill, std::string_view what) {
        if (count == 0) return;
        y -= unit * count;
        rectangle(out_, x, y, width, unit * count, fill,
                  seconds(at) + ": " + std::to_string(count) + ' ' + std::string(what));
      };
      // The worst at the floor, where a single one is seen best.
      bar(each.failed, kFailed, "failed");
      bar(each.slow, kSlow, "slow");
      bar(each.good, kGood, "good");
    }
    line(out_, kLeft, floor, x_of(story_.length), floor, kFaint);
  }

  double lane_of(std::string_view host) const {
    const auto found = std::find(story_.hosts.begin(), story_.hosts.end(), host);
    return lanes_ + kLaneHeight * static_cast<double>(found - story_.hosts.begin());
  }
  bool has_lane(std::string_view host) const {
    return std::find(story_.hosts.begin(), story_.hosts.end(), host) != story_.hosts.end();
  }

  void draw_lanes() {
    for (const auto& host : story_.hosts) {
      words(out_, kLeft - 8, lane_of(host) + 14, host, " text-anchor=\"end\"");
      rectangle(out_, kLeft, lane_of(host) + 2, x_of(story_.length) - kLeft, kLaneHeight - 4,
                kLane);
    }
    for (const auto& each : story_.holdings) {
      if (!has_lane(each.host)) continue;
      const double x = x_of(each.begin);
      rectangle(out_, x, lane_of(each.host) + 2, std::max(1.0, x_of(each.end) - x), kLaneHeight - 4,
                each.cut_off ? "url(#cut-off)" : kHeld,
                each.host + " holds the address" + (each.cut_off ? " behind a cut" : "") +
                    " from " + seconds(each.begin) + " to " + seconds(each.end));
    }
    for (const auto& each : story_.bursts) {
      if (!has_lane(each.host)) continue;
      const double x = x_of(each.at);
      const double y = lane_of(each.host) + 3;
      out_ += "<path d=\"M" + number(x - 4) + ' ' + number(y) + " L" + number(x + 4) + ' ' +
              number(y) + " L" + number(x) + ' ' + number(y + 9) + " Z\" fill=\"" +
              std::string(kSlow) + "\" stroke=\"" + std::string(kInk) +
              "\" stroke-width=\"0.5\"><title>" +
              escaped(each.host + " announces x" + std::to_string(each.count) + " at " +
                      seconds(each.at)) +
              "</title></path>\n";
    }
  }

  void draw_axis() {
    const Duration tick = tick_of(scale_);
    line(out_, kLeft, axis_ + 4, x_of(story_.length), axis_ + 4, kInk);
    // Zero is the first fault, where there is one.
    const Duration zero = story_.faults.empty() ? Duration{} : story_.faults.front().at;
    for (Duration at = zero - zero / tick * tick; at <= story_.length; at += tick) {
      line(out_, x_of(at), axis_ + 4, x_of(at), axis_ + 8, kInk);
      std::array<char, 32> text;
      std::snprintf(text.data(), text.size(), tick < 1s ? "%.1f s" : "%.0f s",
                    static_cast<double>((at - zero).count()) / 1e9);
      words(out_, x_of(at), axis_ + 20, text.data(), " text-anchor=\"middle\"");
    }
  }

  void draw_faults() {
    for (std::size_t i = 0; i < story_.faults.size(); ++i) {
      const auto& fault = story_.faults[i];
      const double x = x_of(fault.at);
      const double y = top_ + kTitleHeight + kFaultHeight * static_cast<double>(fault_line_[i]);
      line(out_, x, y, x, axis_ + 4, kInk, " stroke-dasharray=\"3 2\"");
      if (is_left(fault)) {
        words(out_, x - 3, y + 9, fault.what, " text-anchor=\"end\"");
      } else {
        words(out_, x + 3, y + 9, fault.what);
      }
    }
  }

  const DrillStory& story_;
  Duration scale_;
  double top_;
  std::string& out_;
  std::vector<std::size_t> fault_line_;
  std::size_t fault_lines_ = 0;
  double bars_ = 0, lanes_ = 0, axis_ = 0;
};

void draw_legend(std::string& out, double top) {
  double x = kLeft;
  const auto entry = [&](std::string_view fill, std::string_view what) {
    rectangle(out, x, top + 4, 12, 12, fill);
    words(out, x + 17, top + 14, what);
    x += 32 + kLetterWidth * static_cast<double>(what.size());
  };
  entry(kGood, "good");
  entry(kSlow, "slow (over 500 ms)");
  entry(kFailed, "failed, or never ended");
  entry(kHeld, "holds the address");
  entry("url(#cut-off)", "holds it behind a cut");
  out += "<path d=\"M" + number(x + 2) + ' ' + number(top + 5) + " l8 0 l-4 9 Z\" fill=\"" +
         std::string(kSlow) + "\" stroke=\"" + std::string(kInk) + "\" stroke-width=\"0.5\"/>\n";
  words(out, x + 17, top + 14, "announces it");
}

}  // namespace

std::string draw_stories(std::span<const DrillStory> stories) {
  Duration scale = kStoryStep;
  for (const auto& story : stories) scale = std::max(scale, story.length);
  std::string body;
  double top = 8;
  for (const auto& story : stories) {
    Panel panel(story, scale, top, body);
    panel.draw();
    top = panel.bottom() + kPanelGap;
  }
  draw_legend(body, top);
  const std::string height = number(top + kLegendHeight);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(kWidth) +
                    "\" height=\"" + height + "\" viewBox=\"0 0 " + number(kWidth) + ' ' + height +
                    "\" font-family=\"sans-serif\" font-size=\"11\" fill=\"" + std::string(kInk) +
                    "\">\n";
  out +=
      "<defs><pattern id=\"cut-off\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
      "patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"#ffffff\"/>"
      "<rect width=\"3\" height=\"6\" fill=\"" +
      std::string(kHeld) + "\"/></pattern></defs>\n";
  rectangle(out, 0, 0, kWidth, top + kLegendHeight, "#ffffff");
  return out + body + "</svg>\n";
}

}  // namespace nines::lab
