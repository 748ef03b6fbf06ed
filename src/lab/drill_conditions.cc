// In the words of the command line.
#include "lab/drill_conditions.h"

namespace nines::lab {

std::string text_of(const DrillConditions& conditions) {
  std::string text;
  const auto add = [&](const std::string& words) { text += (text.empty() ? "" : ", ") + words; };
  if (conditions.loss > 0) add(std::to_string(conditions.loss) + " % loss");
  if (conditions.delay > Duration(0)) {
    add(std::to_string(milliseconds_of(conditions.delay)) + " ms delay");
  }
  if (conditions.load) add("load");
  return text;
}

}  // namespace nines::lab
