// The parser of keepalived.conf against any bytes: it must not crash, must end, must keep its
// complaints bounded, and every complaint must point inside the text.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "text/utf8.h"
#include "vrrp/config_load.h"

namespace {

using nines::text::Diagnostics;
using nines::text::SourceFile;

void check_span(const SourceFile& file, const nines::text::Span& span) {
  CHECK(span.line >= 0 && span.line <= file.line_count());
  CHECK(span.column >= 0 && span.length >= 0);
  if (span.line == 0) return;
  const auto characters = static_cast<int>(nines::text::count_characters(file.line(span.line)));
  CHECK(span.column >= 1 && span.column + span.length <= characters + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string content(reinterpret_cast<const char*>(data), size);
  // An include gives the second half of the text, once at each depth.
  const nines::vrrp::Environment environment{
      "node01", [&](std::string_view, std::string_view including) {
        std::vector<SourceFile> files;
        if (including == "fuzz.conf") files.emplace_back("half.conf", content.substr(size / 2));
        return nines::base::Result<std::vector<SourceFile>>(std::move(files));
      }};
  const auto loaded = nines::vrrp::load_config(SourceFile("fuzz.conf", content), environment);
  CHECK(loaded.diagnostics.all().size() <= Diagnostics::kKeptMax);
  for (const auto& diagnostic : loaded.diagnostics.all()) {
    CHECK(diagnostic.span.file < loaded.files.size());
    check_span(loaded.files[diagnostic.span.file], diagnostic.span);
  }
  CHECK(!render_text(loaded.diagnostics, loaded.files).empty() || loaded.diagnostics.all().empty());
  if (!loaded.ok()) return 0;
  CHECK(!dump(loaded.config).empty());
  for (const auto& instance : loaded.config.instances) {
    CHECK(instance.virtual_router_id >= 1 && instance.virtual_router_id <= 255);
    CHECK(instance.priority >= 1 && instance.priority <= 255);
    CHECK(instance.authentication.password.size() <= nines::vrrp::kAuthDataSize);
    CHECK(instance.addresses.size() <= nines::vrrp::kVirtualAddressesMax);
    CHECK(!instance.interface.empty() && instance.advert_int > nines::Duration{});
  }
  return 0;
}
