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

LoadedConfig load(std::string content) {
  const std::vector<text::SourceFile> files{text::SourceFile("a.cfg", std::move(content))};
  return load_config(files, {});
}

TEST(ConfigLoad, SeveralFilesAreOneConfigurationInOrder) {
  const std::vector<text::SourceFile> files{
      text::SourceFile("0.cfg", "global\n maxconn 5\ndefaults\n mode http\n timeout client 1s\n"),
      text::SourceFile("1.cfg", "listen a\n bind :80\n"),
      text::SourceFile("2.cfg", "global\n nbthread 3\n"),
  };
  const LoadedConfig loaded = load_config(files, {});
  ASSERT_TRUE(loaded.ok()) << render_text(loaded.diagnostics, files);
  EXPECT_EQ(loaded.config.global.maxconn, 5);
  EXPECT_EQ(loaded.config.global.nbthread, 3);
  ASSERT_EQ(loaded.config.proxies.size(), 1u);
  EXPECT_EQ(loaded.config.proxies[0].mode, Mode::kHttp);
  EXPECT_EQ(loaded.config.proxies[0].place.file, "1.cfg");
}

TEST(ConfigLoad, ASectionDoesNotGoOnIntoTheNextFile) {
  const std::vector<text::SourceFile> files{text::SourceFile("0.cfg", "global\n"),
                                            text::SourceFile("1.cfg", "maxconn 5\n")};
  const LoadedConfig loaded = load_config(files, {});
  ASSERT_EQ(loaded.diagnostics.errors(), 1u);
  EXPECT_EQ(loaded.diagnostics.all()[0].span, (text::Span{1, 1, 1, 7}));
}

TEST(ConfigLoad, ALastLineWithoutALineFeedMayBeCutOff) {
  const LoadedConfig loaded = load("listen a\n bind :80\n mode tcp");
  EXPECT_EQ(loaded.diagnostics.errors(), 1u);
}

TEST(ConfigLoad, NothingAtAllIsNoMistakeButHasNoListener) {
  EXPECT_TRUE(load("").ok());
  EXPECT_FALSE(has_listeners(load("").config));
  EXPECT_FALSE(has_listeners(load("listen a\n bind :80\n disabled\n").config));
  EXPECT_TRUE(has_listeners(load("listen a\n bind :80\n").config));
}

TEST(ConfigLoad, AFrontendAndABackendMayShareANameAndReferencesMeanTheBackend) {
  const LoadedConfig loaded =
      load("frontend web\n bind :80\n default_backend web\nbackend web\n server s 1.2.3.4:5\n");
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.config.find_proxy("web"), &loaded.config.proxies[0]);
  EXPECT_EQ(loaded.config.find_backend("web"), &loaded.config.proxies[1]);
  EXPECT_EQ(loaded.config.find_backend("none"), nullptr);
}

TEST(ConfigLoad, APasswordIsShownNeitherInADumpNorInAComplaint) {
  const LoadedConfig good = load("listen a\n bind :80\n mode http\n stats auth u:SECRET\n");
  EXPECT_EQ(dump(good.config).find("SECRET"), std::string::npos);
  const LoadedConfig bad = load("listen a\n bind :80\n mode http\n stats auth SECRET\n");
  ASSERT_EQ(bad.diagnostics.errors(), 1u);
  EXPECT_TRUE(bad.diagnostics.all()[0].found.empty());
}

TEST(ConfigLoad, AConditionThatGrowsTooMuchIsRefused) {
  std::string content = "listen a\n bind :80\n mode http\n";
  for (int i = 0; i < 8; ++i) content += " acl x ssl_fc\n";
  content += " http-request del-header A if x x x x\n";
  EXPECT_EQ(load(content).diagnostics.errors(), 1u);
}

TEST(ConfigLoad, AFileThatIsNoConfigurationIsGivenUp) {
  std::string content;
  for (int i = 0; i < 100000; ++i) content += "x\n";
  EXPECT_EQ(load(content).diagnostics.errors(), 5000u);
}

TEST(ConfigLoad, ManyMistakesAreCountedAndBounded) {
  std::string content = "listen a\n";
  for (int i = 0; i < 1000; ++i) content += " nonsense\n";
  const LoadedConfig loaded = load(content);
  EXPECT_EQ(loaded.diagnostics.errors(), 1000u);
  EXPECT_EQ(loaded.diagnostics.all().size(), text::Diagnostics::kKeptMax);
}

}  // namespace
}  // namespace nines::proxy
