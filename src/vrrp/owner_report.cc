// "STATE PRIORITY MASTER_PRIORITY EPOCH MASTER_ADDRESS NAME": the name comes last, for it may hold
// blanks.
#include "vrrp/owner_report.h"

#include <array>
#include <charconv>
#include <limits>

namespace nines::vrrp {

namespace {

constexpr std::string_view kNoAddress = "-";
constexpr std::array kStates = {State::kInit, State::kBackup, State::kMaster, State::kFault,
                                State::kStopped};

std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

constexpr int kPriorityMax = 255;

template <typename Number>
bool take_number(std::string_view& text, Number& value, Number max) {
  const std::string_view word = take_word(text);
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() && end == word.data() + word.size() && value >= 0 && value <= max;
}

}  // namespace

OwnerReport report_of(const Vrrp& machine) {
  const VrrpStatus& status = machine.status();
  return {.instance = machine.instance().name,
          .state = status.state,
          .priority = status.priority,
          .master = status.master_address,
          .master_priority = status.master_priority};
}

std::string encode(const OwnerReport& report) {
  return std::string(name_of(report.state)) + ' ' + std::to_string(report.priority) + ' ' +
         std::to_string(report.master_priority) + ' ' + std::to_string(report.epoch) + ' ' +
         (report.master.is_ip() ? report.master.ip_text() : std::string(kNoAddress)) + ' ' +
         report.instance;
}

Result<OwnerReport> parse_owner_report(std::string_view text) {
  OwnerReport report;
  const std::string_view state = take_word(text);
  bool known = false;
  for (const State each : kStates) {
    if (name_of(each) != state) continue;
    report.state = each;
    known = true;
  }
  if (!known || !take_number(text, report.priority, kPriorityMax) ||
      !take_number(text, report.master_priority, kPriorityMax) ||
      !take_number(text, report.epoch, std::numeric_limits<std::uint64_t>::max())) {
    return Error(ErrorCode::kInvalid, "no report of an owner");
  }
  if (const std::string_view address = take_word(text); address != kNoAddress) {
    report.master = TRY(SocketAddress::parse_ip(address, 0));
  }
  if (text.empty()) return Error(ErrorCode::kInvalid, "a report of an owner without a name");
  report.instance = text;
  return report;
}

}  // namespace nines::vrrp
