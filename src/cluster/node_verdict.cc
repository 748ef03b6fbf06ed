// Verdicts in words.
#include "cluster/node_verdict.h"

namespace nines::cluster {
namespace {

std::string plain(Duration time) { return std::to_string(milliseconds_of(time)) + " ms"; }

std::string text_of(const LinkEvidence& link) {
  if (!link.ever_heard) return "never heard";
  if (link.hears) return link.is_heard ? "works" : "one way: it is heard, and does not hear us";
  return "silent for " + plain(link.silence) + ", " + plain(link.silence_allowed) + " allowed";
}

}  // namespace

std::string_view name_of(Finding finding) {
  switch (finding) {
    case Finding::kSuspect:
      return "suspect";
    case Finding::kGone:
      return "gone";
    case Finding::kBack:
      return "back";
  }
  return "unknown";
}

std::string text_of(const NodeVerdict& verdict) {
  if (verdict.finding == Finding::kBack) return "heard again";
  if (verdict.leaves) return "it said that it leaves";
  std::string text;
  for (int network = 0; network < verdict.networks; ++network) {
    if (network > 0) text += "; ";
    text += "network " + std::to_string(network + 1) + ": " +
            text_of(verdict.links[static_cast<std::size_t>(network)]);
  }
  if (verdict.finding == Finding::kGone) {
    text += "; so say " + std::to_string(verdict.suspected_by.size()) + " of " +
            std::to_string(verdict.observers.size()) + " who watch it";
  }
  return text;
}

}  // namespace nines::cluster
