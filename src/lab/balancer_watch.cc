// Reading `show stat` by its header, and the order of signs.
#include "lab/balancer_watch.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace nines::lab {
namespace {

std::vector<std::string_view> split(std::string_view line, char by) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = line.find(by);
    parts.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return parts;
    line.remove_prefix(end + 1);
  }
}

std::uint64_t number_of(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// A row by the header's names; empty for a column that is not there.
class Row {
 public:
  Row(const std::vector<std::string_view>& header, std::vector<std::string_view> values)
      : header_(header), values_(std::move(values)) {}
  std::string_view operator[](std::string_view name) const {
    const auto found = std::find(header_.begin(), header_.end(), name);
    const auto index = static_cast<std::size_t>(found - header_.begin());
    return index < values_.size() ? values_[index] : std::string_view();
  }

 private:
  const std::vector<std::string_view>& header_;
  std::vector<std::string_view> values_;
};

}  // namespace

BalancerView parse_balancer_view(std::string_view reply) {
  constexpr std::string_view kProcess = "Pid: ";
  constexpr std::string_view kHeader = "# pxname";
  BalancerView view;
  std::vector<std::string_view> header;
  for (const std::string_view line : split(reply, '\n')) {
    if (line.starts_with(kProcess)) view.process = number_of(line.substr(kProcess.size()));
    if (line.starts_with(kHeader)) {
      header = split(line.substr(2), ',');
      continue;
    }
    if (header.empty() || line.empty()) continue;
    const Row row(header, split(line, ','));
    if (row["svname"] == "FRONTEND" || row["svname"] == "BACKEND") continue;
    const std::string name = std::string(row["pxname"]) + '/' + std::string(row["svname"]);
    view.servers[name] = {.status = std::string(row["status"]),
                          .check_status = std::string(row["check_status"]),
                          .checks_failed = number_of(row["chkfail"]),
                          .troubles = number_of(row["econ"]) + number_of(row["eresp"]) +
                                      number_of(row["wretr"]) + number_of(row["wredis"]),
                          .chosen = number_of(row["lbtot"])};
  }
  return view;
}

void BalancerWatch::begin(std::string_view proxy, std::string_view server, ServerChange change,
                          Instant at) {
  *this = {};
  name_ = std::string(proxy) + '/' + std::string(server);
  change_ = change;
  begun_ = at;
}

void BalancerWatch::on_view(const BalancerView& view, Instant at) {
  if (view.process != 0) {
    if (process_ != 0 && view.process != process_) {
      same_process_ = false;
      last_.reset();  // its counters are its own
    }
    process_ = view.process;
  }
  const auto found = view.servers.find(name_);
  if (found == view.servers.end() || at < begun_) return;
  const ServerView& now = found->second;
  if (change_ == ServerChange::kDown && now.is_down()) note_decided(at);
  if (change_ == ServerChange::kUp && now.status == "UP") note_decided(at);
  if (last_) {
    if (change_ == ServerChange::kDown &&
        (now.checks_failed > last_->checks_failed || now.troubles > last_->troubles)) {
      note_detected(at);
    }
    if (change_ == ServerChange::kUp && now.status != last_->status) note_detected(at);
    if (now.chosen > last_->chosen) {
      chosen_last_ = at;
      if (decided_ && !chosen_first_after_decided_) chosen_first_after_decided_ = at;
    }
  }
  // A half-way status ("UP 4/5", "DOWN 1/2") is a sign even in the first view.
  if (now.status.find('/') != std::string::npos) note_detected(at);
  last_ = now;
}

void BalancerWatch::on_log_line(std::string_view line, Instant at) {
  if (change_ == ServerChange::kNone || at < begun_) return;
  const std::string says =
      "Server " + name_ + (change_ == ServerChange::kDown ? " is DOWN" : " is UP");
  if (line.find(says) != std::string_view::npos) note_decided(at);
}

std::optional<Instant> BalancerWatch::detected() const {
  // A decision without a visible sign before it was its own first sign.
  if (!detected_ || (decided_ && *decided_ < *detected_)) return decided_;
  return detected_;
}

std::optional<Instant> BalancerWatch::acted() const {
  if (!decided_) return std::nullopt;
  if (change_ == ServerChange::kUp) return chosen_first_after_decided_;
  return chosen_last_ ? std::max(*decided_, *chosen_last_) : *decided_;
}

}  // namespace nines::lab
