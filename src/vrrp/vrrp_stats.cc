// The labels and their indentation are what scripts look for; they are keepalived's to the byte.
#include "vrrp/vrrp_stats.h"

#include <string_view>

namespace nines::vrrp {

namespace {

// RFC 2338, section 5.3.6: none, simple text, IP authentication header.
constexpr std::uint8_t kAuthenticationTypeMax = 2;

}  // namespace

void PacketErrors::count(WireFault fault) {
  switch (fault) {
    case WireFault::kTooShort:
    case WireFault::kLength:
    case WireFault::kCount:
      ++length;
      return;
    case WireFault::kTimeToLive:
      ++time_to_live;
      return;
    case WireFault::kType:
      ++type;
      return;
    case WireFault::kInterval:
      ++interval;
      return;
    case WireFault::kNone:
    case WireFault::kHeader:
    case WireFault::kFragment:
    case WireFault::kProtocol:
    case WireFault::kVersion:
    case WireFault::kRouterId:
    case WireFault::kChecksum:
      return;
  }
}

void PacketErrors::count(Rejection rejection, const Advert& advert) {
  switch (rejection) {
    case Rejection::kAuthentication:
      ++(advert.authentication_type > kAuthenticationTypeMax ? authentication_unknown
                                                             : authentication_other);
      return;
    case Rejection::kPassword:
      ++password;
      return;
    case Rejection::kInterval:
      ++interval;
      return;
    case Rejection::kAddresses:
      ++addresses;
      return;
    case Rejection::kNone:
    case Rejection::kOtherRouter:
    case Rejection::kOwn:
    case Rejection::kVersion:
    case Rejection::kNotAPeer:
      return;
  }
}

std::string stats_text(std::span<const InstanceReport> reports) {
  std::string text;
  const auto line = [&text](std::string_view label, std::uint64_t value) {
    text += label;
    text += ": " + std::to_string(value) + "\n";
  };
  for (const InstanceReport& report : reports) {
    const VrrpStatus::Counters& counters = report.status.counters;
    text += "VRRP Instance: " + report.instance.name + "\n";
    text += "  Advertisements:\n";
    line("    Received", counters.adverts_heard);
    line("    Sent", counters.adverts_sent);
    line("  Became master", counters.became_master);
    line("  Released master", counters.released_master);
    text += "  Packet Errors:\n";
    line("    Length", report.errors.length);
    line("    TTL", report.errors.time_to_live);
    line("    Invalid Type", report.errors.type);
    line("    Advertisement Interval", report.errors.interval);
    line("    Address List", report.errors.addresses);
    text += "  Authentication Errors:\n";
    line("    Invalid Type", report.errors.authentication_unknown);
    line("    Type Mismatch", report.errors.authentication_other);
    line("    Failure", report.errors.password);
    text += "  Priority Zero:\n";
    line("    Received", counters.priority_zero_heard);
    line("    Sent", counters.priority_zero_sent);
  }
  return text;
}

}  // namespace nines::vrrp
