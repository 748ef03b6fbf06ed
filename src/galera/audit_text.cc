// The audit for people: what is set, what it does, and then what to set instead.
#include <algorithm>
#include <cstdio>

#include "galera/audit.h"

namespace nines::galera {

namespace {

constexpr std::size_t kEffectColumns = 78;

std::string members_text(const AuditQuestion& question, const Finding& finding) {
  if (finding.members.size() == question.members.size()) return "all";
  std::string text;
  for (const std::string& name : finding.members) text += (text.empty() ? "" : ",") + name;
  return text;
}

// At spaces; a word that is longer stands alone.
std::vector<std::string> wrapped(std::string_view text) {
  std::vector<std::string> lines;
  while (text.size() > kEffectColumns) {
    auto at = text.rfind(' ', kEffectColumns);
    if (at == text.npos || at == 0) at = text.find(' ');
    if (at == text.npos) break;
    lines.emplace_back(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  lines.emplace_back(text);
  return lines;
}

std::string load_text(const AuditQuestion& question, const Audit& audit) {
  char text[160];
  std::snprintf(
      text, sizeof text,
      "figures are for %.1f KiB/s and %.1f commits a second: the busier of %.0f s now and "
      "of the average since the servers' start",
      audit.load.bytes / 1024, audit.load.commits,
      std::chrono::duration<double>(question.measured_for).count());
  return text;
}

}  // namespace

std::string render_audit(const AuditQuestion& question, const Audit& audit) {
  std::string out;
  for (const Finding& finding : audit.findings) {
    std::string head = std::string(name_of(finding.verdict));
    head.resize(std::max<std::size_t>(head.size(), 7), ' ');
    out += head + "  " + finding.setting + ": " + finding.value + " (" +
           members_text(question, finding) + ")\n";
    for (const std::string& line : wrapped(finding.effect)) out += "           " + line + "\n";
    if (finding.mend.empty() || finding.verdict == Verdict::kGood) continue;
    bool is_first = true;
    for (const std::string& line : wrapped(finding.mend)) {
      out += (is_first ? "         > " : "           ") + line + "\n";
      is_first = false;
    }
  }
  return out + load_text(question, audit) + "\n";
}

}  // namespace nines::galera
