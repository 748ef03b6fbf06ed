// Golden tests: each testdata/config/NAME.cfg beside NAME.expected, which holds what is complained
// about and, when there is no error, what the text means. NINES_GOLDEN_WRITE=1 writes them anew.
#include "proxy/config_load.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<std::filesystem::path> golden_configs() {
  std::vector<std::filesystem::path> out;
  const auto folder = std::filesystem::path(NINES_TESTDATA) / "config";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".cfg") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string verdict_on(const std::string& name, std::string content) {
  const std::vector<text::SourceFile> files{text::SourceFile(name, std::move(content))};
  const LoadedConfig loaded = load_config(files, {{"FD_API", "7"}, {"SEVERAL", "a b"}});
  std::string out = text::render_text(loaded.diagnostics, files);
  if (loaded.ok()) out += dump(loaded.config);
  return out;
}

class Golden : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Golden, MeansWhatIsWrittenBesideIt) {
  const std::filesystem::path path = GetParam();
  const std::string actual = verdict_on(path.filename(), read_file(path));
  std::filesystem::path expected_path = path;
  expected_path.replace_extension(".expected");
  if (std::getenv("NINES_GOLDEN_WRITE") != nullptr) std::ofstream(expected_path) << actual;
  EXPECT_EQ(actual, read_file(expected_path));
}

INSTANTIATE_TEST_SUITE_P(Config, Golden, testing::ValuesIn(golden_configs()),
                         [](const auto& instance) {
                           std::string name = instance.param.stem();
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace nines::proxy
