// Golden tests: each testdata/config/NAME.conf beside NAME.expected, which holds what is complained
// about and, when there is no error, what the text means. NINES_GOLDEN_WRITE=1 writes them anew.
#include "vrrp/config_load.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "vrrp/config_lines.h"
#include "vrrp/config_tree.h"

namespace nines::vrrp {
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
    if (entry.path().extension() == ".conf") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

Environment nothing_to_include() {
  return {"node01", [](std::string_view, std::string_view) {
            return Result<std::vector<text::SourceFile>>(std::vector<text::SourceFile>{});
          }};
}

class Golden : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Golden, MeansWhatIsWrittenBesideIt) {
  const std::filesystem::path path = GetParam();
  const LoadedConfig loaded =
      load_config(text::SourceFile(path.filename(), read_file(path)), nothing_to_include());
  std::string actual = text::render_text(loaded.diagnostics, loaded.files);
  if (loaded.ok()) actual += dump(loaded.config);
  std::filesystem::path expected_path = path;
  expected_path.replace_extension(".expected");
  if (std::getenv("NINES_GOLDEN_WRITE") != nullptr) std::ofstream(expected_path) << actual;
  EXPECT_EQ(actual, read_file(expected_path));
}

INSTANTIATE_TEST_SUITE_P(VrrpConfig, Golden, testing::ValuesIn(golden_configs()),
                         [](const auto& instance) {
                           std::string name = instance.param.stem();
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

LoadedConfig load(std::string content) {
  return load_config(text::SourceFile("a.conf", std::move(content)), nothing_to_include());
}

// An instance that has all it needs, with `more` in it.
LoadedConfig load_instance(const std::string& more) {
  return load(
      "vrrp_instance A {\n interface eth0\n virtual_router_id 3\n"
      " virtual_ipaddress {\n 10.0.0.1\n }\n" +
      more + "\n}\n");
}

std::string messages(const LoadedConfig& loaded) {
  return text::render_text(loaded.diagnostics, loaded.files);
}

TEST(VrrpConfig, ThePublishedFileIsReadUnmodified) {
  const auto path = std::filesystem::path(NINES_TESTDATA) / "config" / "reference.conf";
  const LoadedConfig loaded =
      load_config(text::SourceFile("keepalived.conf", read_file(path)), nothing_to_include());
  ASSERT_TRUE(loaded.ok()) << messages(loaded);
  ASSERT_EQ(loaded.config.instances.size(), 1u);
  const VrrpInstance& instance = loaded.config.instances[0];
  EXPECT_EQ(instance.name, "kolla_internal_vip_121");
  EXPECT_EQ(instance.initial_state, InitialState::kBackup);
  EXPECT_TRUE(instance.nopreempt);
  EXPECT_EQ(instance.interface, "enp8s0f0");
  EXPECT_EQ(instance.virtual_router_id, 121);
  EXPECT_EQ(instance.priority, 1);
  EXPECT_EQ(instance.advert_int, Duration(1s));
  EXPECT_EQ(instance.version, 2);
  EXPECT_EQ(instance.authentication.type, AuthType::kPass);
  EXPECT_EQ(instance.authentication.password, "yw8v4g4h");
  ASSERT_EQ(instance.addresses.size(), 1u);
  EXPECT_EQ(instance.addresses[0].address.ip_text(), "172.23.59.10");
  EXPECT_EQ(instance.addresses[0].prefix_length, 32);
  EXPECT_EQ(instance.addresses[0].device, "enp8s0f0");
  ASSERT_EQ(instance.track_scripts.size(), 1u);
  EXPECT_EQ(instance.track_scripts[0].name, "check_alive");
  ASSERT_EQ(loaded.config.scripts.size(), 1u);
  EXPECT_EQ(loaded.config.scripts[0].command.words, std::vector<std::string>{"/check_alive.sh"});
  EXPECT_EQ(loaded.config.scripts[0].interval, Duration(2s));
  EXPECT_EQ(loaded.config.scripts[0].fall, 2);
  EXPECT_EQ(loaded.config.scripts[0].rise, 10);
  // What keepalived itself complains of: the password's length.
  EXPECT_TRUE(loaded.keepalived_complains);
}

TEST(VrrpConfig, EveryKeywordOfRealDeploymentsIsKnown) {
  std::ifstream in(std::filesystem::path(NINES_TESTDATA) / "keepalived-keywords.tsv");
  std::string line;
  std::getline(in, line);  // the heading
  int count = 0;
  while (std::getline(in, line)) {
    const std::string keyword = line.substr(0, line.find('\t'));
    EXPECT_TRUE(is_known_keyword(keyword)) << keyword;
    ++count;
  }
  EXPECT_GT(count, 100);
  EXPECT_FALSE(is_known_keyword("bogus"));
}

TEST(VrrpConfig, BracesStandWhereverKeepalivedReadsThem) {
  for (const char* text : {
           "vrrp_instance A{\ninterface eth0\nvirtual_router_id 3\nvirtual_ipaddress{10.0.0.1}}",
           "vrrp_instance A\n{\ninterface eth0\nvirtual_router_id 3\n"
           "virtual_ipaddress\n\n{\n10.0.0.1\n} priority 7}",
           "vrrp_instance \"A\" { interface eth0\nvirtual_router_id 3 # }\n"
           "virtual_ipaddress { 10.0.0.1\n}  track_interface {\n eth1\n}\n}",
       }) {
    const LoadedConfig loaded = load(text);
    EXPECT_TRUE(loaded.ok()) << messages(loaded);
    ASSERT_EQ(loaded.config.instances.size(), 1u) << text;
    EXPECT_EQ(loaded.config.instances[0].name, "A");
    EXPECT_EQ(loaded.config.instances[0].addresses.size(), 1u);
  }
}

TEST(VrrpConfig, AMisspeltKeywordHasASuggestionAndAPlace) {
  const LoadedConfig loaded = load_instance(" priorty 5");
  ASSERT_EQ(loaded.diagnostics.errors(), 1u) << messages(loaded);
  EXPECT_EQ(loaded.diagnostics.all()[0].span, (text::Span{0, 7, 2, 7}));
  EXPECT_EQ(loaded.diagnostics.all()[0].help, "did you mean 'priority'?");
}

TEST(VrrpConfig, AKeywordInTheWrongBlockIsToldWhereItBelongs) {
  const LoadedConfig loaded = load_instance(" auth_pass x");
  ASSERT_EQ(loaded.diagnostics.errors(), 1u);
  EXPECT_EQ(loaded.diagnostics.all()[0].help, "it belongs into authentication { ... }");
}

TEST(VrrpConfig, EscapesInCommandsAreReadAsKeepalivedReadsThem) {
  const auto argument = [](const std::string& text) {
    const LoadedConfig loaded = load("vrrp_script s { script \"/bin/echo " + text + "\"\n}\n");
    return loaded.ok() ? loaded.config.scripts.at(0).command.words.at(1) : messages(loaded);
  };
  EXPECT_EQ(argument("a\\101b"), "aAb");
  EXPECT_EQ(argument("a\\18b"),
            "a\x01"
            "8b");
  EXPECT_EQ(argument("a\\1012b"), "aA2b");
  EXPECT_EQ(argument("a\\401b"),
            "a\x01"
            "b");
  EXPECT_EQ(argument("a\\777b"),
            "a\xFF"
            "b");
  EXPECT_EQ(argument("a\\8b"), "a8b");
  EXPECT_EQ(argument("a\\x41b"), "a\x1b");
  EXPECT_EQ(argument("a\\x414b"), "aK");
  EXPECT_EQ(argument("a\\x4g"), "a\x04g");
  EXPECT_EQ(argument("a\\xgb"), "axgb");
  EXPECT_EQ(argument("a\\cAb"),
            "a\x01"
            "b");
  EXPECT_EQ(argument("a\\qb"), "aqb");
  EXPECT_NE(argument("a\\0b").find("zero byte"), std::string::npos);
}

TEST(VrrpConfig, ElsewhereBackslashAndSingleQuoteStandForThemselves) {
  const auto password = [](const std::string& text) {
    return load_instance("authentication {\nauth_type PASS\nauth_pass " + text + "\n}")
        .config.instances.at(0)
        .authentication.password;
  };
  EXPECT_EQ(password("\"a\\101b\""), "a\\101b");
  EXPECT_EQ(password("'abc'"), "'abc'");
  EXPECT_EQ(password("\"a b\""), "a b");
}

// Texts that put SECRET where it may not be told, each with something to complain about.
TEST(VrrpConfig, NoComplaintShowsAPassword) {
  for (const char* text : {
           "authentication {\n auth_type PASS\n auth_pass SECRET89\n}",
           "authentication {\n auth_type PASS\n auth_pass abc SECRET\n}",
           "authentication {\n auth_type PASS\n auth_pass abc!SECRET\n}",
           "authentication {\n auth_type PASS\n auth_pass \"SECRET\n}",
           "authentication {\n auth_type PASS\n auth_pass ab}SECRET\n}",
           "authentication {\n auth_type PASS\n auth_pass ab{SECRET}x\n}",
           "authentication {\n auth_type PASS\n auth_pas SECRET\n}",
           "authentication {\n auth_type SECRET\n auth_pass abc\n}",
           "authentication {\n auth_type PASS\n SECRET\n}",
           "authentication { auth_type PASS auth_pass SECRET }",
           "authentication\n{\n auth_type PASS } auth_pass SECRET\n",
           "auth_pass SECRET",
           "$X=SECRET89\nauthentication {\n auth_type PASS\n auth_pass $X\n}",
           "$X=SECRET\nauthentication {\n auth_type PASS\n auth_pas ${X}\n}",
           "$_X=SECRET\nauthentication {\n auth_type PASS\n auth_pass ${_X}\n}",
           "$X= \\\n authentication { \\\n auth_typ PASS \\\n SECRET x \\\n }\n$X\n",
       }) {
    const LoadedConfig loaded = load_instance(text);
    EXPECT_FALSE(loaded.diagnostics.all().empty()) << text;
    EXPECT_EQ(messages(loaded).find("SECRET"), std::string::npos) << messages(loaded);
    const std::string json = text::render_json(loaded.diagnostics, loaded.files);
    EXPECT_EQ(json.find("SECRET"), std::string::npos) << json;
    EXPECT_EQ(dump(loaded.config).find("SECRET"), std::string::npos) << text;
  }
}

TEST(VrrpConfig, TheCaretStandsUnderTheStarsOfAPassword) {
  const LoadedConfig loaded =
      load_instance("authentication {\n auth_type PASS\n auth_pass  grün-1234 more\n}");
  EXPECT_NE(messages(loaded).find("   auth_pass  ********* ****\n"
                                  "              ^~~~~~~~~\n"),
            std::string::npos)
      << messages(loaded);
}

TEST(VrrpConfig, AVirtualServerIsOneErrorWhateverIsInIt) {
  const LoadedConfig loaded = load(
      "virtual_server 10.0.0.1 80 {\n bogus {\n priorty 1\n }\n real_server 10.0.0.2 80 {\n "
      "}\n}\n");
  ASSERT_EQ(loaded.diagnostics.all().size(), 1u) << messages(loaded);
  EXPECT_TRUE(loaded.diagnostics.has_errors());
}

TEST(VrrpConfig, TheScriptsWeightCountsUnlessTheTrackNamesOne) {
  const LoadedConfig loaded = load(
      "vrrp_script a {\nscript /bin/true\nweight 5 reverse\n}\n"
      "vrrp_instance A {\ninterface eth0\nvirtual_router_id 3\npriority 200\n"
      "virtual_ipaddress { 10.0.0.1 }\ntrack_script {\na\n}\n}\n"
      "vrrp_instance B {\ninterface eth0\nvirtual_router_id 4\npriority 200\n"
      "virtual_ipaddress { 10.0.0.2 }\ntrack_script {\na weight -7 noreverse\n}\n}\n");
  ASSERT_TRUE(loaded.ok()) << messages(loaded);
  EXPECT_EQ(loaded.config.instances[0].track_scripts[0].weight, 5);
  EXPECT_TRUE(loaded.config.instances[0].track_scripts[0].reverse);
  EXPECT_EQ(loaded.config.instances[1].track_scripts[0].weight, -7);
  EXPECT_FALSE(loaded.config.instances[1].track_scripts[0].reverse);
}

TEST(VrrpConfig, AnInstanceTakesWhatGlobalDefsSayAndItDoesNot) {
  const LoadedConfig loaded = load(
      "vrrp_instance A {\ninterface eth0\nvirtual_router_id 3\ngarp_master_repeat 2\n"
      "virtual_ipaddress { 10.0.0.1 }\n}\n"
      "global_defs {\nvrrp_garp_master_repeat 9\nvrrp_garp_master_delay 3\nvrrp_version 3\n"
      "vrrp_lower_prio_no_advert\n}\n");
  ASSERT_TRUE(loaded.ok()) << messages(loaded);
  const VrrpInstance& instance = loaded.config.instances[0];
  EXPECT_EQ(instance.announcements.master_repeat, 2);
  EXPECT_EQ(instance.announcements.lower_priority_repeat, 2);
  EXPECT_EQ(instance.announcements.master_delay, Duration(3s));
  EXPECT_EQ(instance.announcements.lower_priority_delay, Duration(3s));
  EXPECT_EQ(instance.version, 3);
  EXPECT_TRUE(instance.lower_priority_no_advert);
}

TEST(VrrpConfig, LowPrioritiesAreTakenAndHintedAt) {
  const LoadedConfig low = load_instance("priority 1");
  ASSERT_TRUE(low.ok());
  ASSERT_EQ(low.diagnostics.all().size(), 1u) << messages(low);
  EXPECT_EQ(low.diagnostics.all()[0].severity, text::Severity::kNote);
  EXPECT_FALSE(low.keepalived_complains);
  EXPECT_TRUE(load_instance("priority 254").diagnostics.all().empty());
  EXPECT_TRUE(load_instance("priority 100").diagnostics.all().empty());
}

TEST(VrrpConfig, VersionTwoRoundsToWholeSecondsAsKeepalivedDoes) {
  const auto interval = [](const char* text) {
    return load_instance(std::string("advert_int ") + text).config.instances[0].advert_int;
  };
  EXPECT_EQ(interval("0.3"), Duration(1s));
  EXPECT_EQ(interval("1.4"), Duration(1s));
  EXPECT_EQ(interval("1.5"), Duration(2s));
  EXPECT_EQ(load_instance("version 3\nadvert_int 0.05").config.instances[0].advert_int,
            Duration(50ms));
}

TEST(VrrpConfig, IncludedFilesAreReadInPlaceAndNamedInComplaints) {
  const std::map<std::string, std::string> world{
      {"conf.d/a.conf", "priority 200\ninclude ../b.conf\n"},
      {"b.conf", "nopreempt\nbogus\n"},
  };
  std::vector<std::pair<std::string, std::string>> asked;
  const Environment environment{"", [&](std::string_view pattern, std::string_view including) {
                                  asked.emplace_back(pattern, including);
                                  const std::string name =
                                      pattern == "../b.conf" ? "b.conf" : "conf.d/a.conf";
                                  std::vector<text::SourceFile> files;
                                  files.emplace_back(name, world.at(name));
                                  return Result<std::vector<text::SourceFile>>(std::move(files));
                                }};
  const LoadedConfig loaded = load_config(
      text::SourceFile("main.conf",
                       "vrrp_instance A {\ninterface eth0\nvirtual_router_id 3\n"
                       "include conf.d/*.conf  # all of them\nvirtual_ipaddress { 10.0.0.1 }\n}\n"),
      environment);
  EXPECT_EQ(asked, (std::vector<std::pair<std::string, std::string>>{
                       {"conf.d/*.conf", "main.conf"}, {"../b.conf", "conf.d/a.conf"}}));
  ASSERT_EQ(loaded.diagnostics.errors(), 1u) << messages(loaded);
  EXPECT_EQ(loaded.files[loaded.diagnostics.all()[0].span.file].name(), "b.conf");
  EXPECT_EQ(loaded.diagnostics.all()[0].span.line, 2);
  EXPECT_EQ(loaded.config.instances[0].priority, 200);
  EXPECT_TRUE(loaded.config.instances[0].nopreempt);
}

TEST(VrrpConfig, AFileThatIncludesItselfEnds) {
  const Environment environment{"", [](std::string_view, std::string_view) {
                                  std::vector<text::SourceFile> files;
                                  files.emplace_back("a", "include a\ninclude a\n");
                                  return Result<std::vector<text::SourceFile>>(std::move(files));
                                }};
  const LoadedConfig loaded = load_config(text::SourceFile("a", "include a\n"), environment);
  EXPECT_EQ(loaded.diagnostics.errors(), 1u);
}

TEST(VrrpConfig, WhatExpandsWithoutEndIsStopped) {
  for (const char* text : {
           "$A=${A}${A}\n$A\n",
           "$A= \\\n$A \\\n$A\n$A\n",
           "~SEQ(A,1,1000000) ~SEQ(B,1,1000000) x\n",
           "~SEQ(A,1,1000000) ~SEQ(B,2,1,1) x\n",
       }) {
    EXPECT_TRUE(load(text).diagnostics.has_errors()) << text;
  }
}

TEST(VrrpConfig, AKeepalivedFileIsRecognisedByItsFirstWord) {
  EXPECT_TRUE(looks_like_keepalived("! Configuration File\n\nglobal_defs {\n"));
  EXPECT_TRUE(looks_like_keepalived("  vrrp_script a{\n"));
  EXPECT_TRUE(looks_like_keepalived("vrrp_instance A {"));
  EXPECT_FALSE(looks_like_keepalived("# x\nglobal\n  daemon\n"));
  EXPECT_FALSE(looks_like_keepalived("listen a\n"));
  EXPECT_FALSE(looks_like_keepalived(""));
}

}  // namespace
}  // namespace nines::vrrp
