// The parser of haproxy.cfg against any bytes: it must not crash, must keep its complaints bounded,
// and every complaint must point inside the text.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "proxy/config_load.h"
#include "text/utf8.h"

namespace {

using nines::text::Diagnostics;

void check_span(const nines::text::SourceFile& file, const nines::text::Span& span) {
  CHECK(span.file == 0);
  CHECK(span.line >= 0 && span.line <= file.line_count());
  CHECK(span.column >= 0 && span.length >= 0);
  if (span.line == 0) return;
  const auto characters = static_cast<int>(nines::text::count_characters(file.line(span.line)));
  CHECK(span.column >= 1 && span.column + span.length <= characters + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string content(reinterpret_cast<const char*>(data), size);
  const std::vector<nines::text::SourceFile> files{nines::text::SourceFile("fuzz.cfg", content)};
  const auto loaded =
      nines::proxy::load_config(files, {{"A", "x"}, {"LIST", "one two three"}, {"EMPTY", ""}});
  CHECK(loaded.diagnostics.all().size() <= Diagnostics::kKeptMax);
  for (const auto& diagnostic : loaded.diagnostics.all()) check_span(files[0], diagnostic.span);
  CHECK(!render_text(loaded.diagnostics, files).empty() || loaded.diagnostics.all().empty());
  CHECK(!render_json(loaded.diagnostics, files).empty());
  if (loaded.ok()) CHECK(!dump(loaded.config).empty());
  return 0;
}
