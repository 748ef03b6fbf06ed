// Files of credentials: what they may say, who may read them, and that no complaint tells what
// stands in one.
#include "proxy/check_credentials.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "proxy/config_load.h"
#include "proxy/credential_files.h"

namespace nines::proxy {
namespace {

std::string complaint(std::string_view text) {
  const auto parsed = parse_credentials(text);
  EXPECT_FALSE(parsed.has_value()) << text;
  return parsed.has_value() ? "" : parsed.error().message();
}

TEST(Credentials, lines_of_keys_and_values) {
  const auto parsed = parse_credentials(
      "# who checks\n\n user = nines \npassword=p = #w\r\nproject\t=\tservice\n"
      "user_domain = Users\nproject_domain = Projects");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
  EXPECT_EQ(parsed->user, "nines");
  EXPECT_EQ(parsed->password, "p = #w");
  EXPECT_EQ(parsed->project, "service");
  EXPECT_EQ(parsed->user_domain, "Users");
  EXPECT_EQ(parsed->project_domain, "Projects");
}

TEST(Credentials, domains_have_keystones_default) {
  const auto parsed = parse_credentials("user=a\npassword=b\n");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->user_domain, "Default");
  EXPECT_EQ(parsed->project_domain, "Default");
  EXPECT_EQ(parsed->project, "");
}

TEST(Credentials, mistakes_are_told_by_line) {
  EXPECT_EQ(complaint("user=a\n"), "has no 'password = WORD'");
  EXPECT_EQ(complaint("password=a\n"), "has no 'user = NAME'");
  EXPECT_EQ(complaint(""), "has no 'user = NAME'");
  EXPECT_EQ(complaint("user=a\npassword=b\nuser=c\n"), "line 3: says 'user' a second time");
  EXPECT_EQ(complaint("user=\n"), "line 1: 'user' has no value");
  EXPECT_EQ(complaint("user=a\x01\n"), "line 1: a value has no control characters");
  EXPECT_EQ(complaint("user=" + std::string(513, 'x')),
            "line 1: the value is longer than 512 bytes");
  EXPECT_EQ(complaint(std::string(4097, '#')), "is larger than 4096 bytes");
}

TEST(Credentials, what_stands_in_the_file_is_never_repeated) {
  for (const char* text : {"topsecret\n", "topsecret = x\n", "user = a\n= topsecret\n",
                           "user=a\npassword=topsecret\x7f\n"}) {
    EXPECT_EQ(complaint(text).find("topsecret"), std::string::npos) << complaint(text);
  }
}

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "nines-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text, mode_t mode) {
    const std::string path = path_ + "/" + name;
    std::ofstream(path) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }

 private:
  std::string path_;
};

TEST(CredentialFiles, one_that_everybody_can_read_is_refused) {
  Folder folder;
  for (const mode_t mode : {0644, 0604, 0602, 0601}) {
    const std::string path = folder.write("open", "user=a\npassword=b\n", mode);
    const auto text = read_credential_file(path);
    ASSERT_FALSE(text.has_value()) << mode;
    EXPECT_EQ(text.error().code(), ErrorCode::kRefused);
    EXPECT_NE(text.error().message().find("chmod o= " + path), std::string::npos);
  }
  for (const mode_t mode : {0600, 0400, 0640}) {
    EXPECT_TRUE(read_credential_file(folder.write("closed", "x", mode)).has_value()) << mode;
  }
}

TEST(CredentialFiles, only_regular_files_of_a_page_are_read) {
  Folder folder;
  EXPECT_FALSE(read_credential_file("/").has_value());
  EXPECT_FALSE(read_credential_file("/dev/null").has_value());
  const auto missing = read_credential_file("/does/not/exist");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), ErrorCode::kNotFound);
  const auto large = read_credential_file(folder.write("large", std::string(9999, '#'), 0600));
  ASSERT_TRUE(large.has_value());
  EXPECT_FALSE(parse_credentials(*large).has_value());
}

LoadedConfig load(const std::string& text) {
  const std::array files = {text::SourceFile("x.cfg", text)};
  return load_config(files, {});
}

constexpr const char* kConfig =
    "defaults\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n"
    "listen db\n  bind 127.0.0.1:3306\n  option galera-check credentials /etc/g\n"
    "  server a 127.0.0.1:3307 check\n"
    "listen api\n  bind 127.0.0.1:5000\n  option keystone-check credentials /etc/k\n"
    "  server a 127.0.0.1:5001 check\n";

TEST(CheckConfiguration, credentials_reach_the_checks_and_no_dump) {
  LoadedConfig loaded = load(kConfig);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(credential_paths(loaded), (std::vector<std::string>{"/etc/g", "/etc/k"}));
  CredentialTexts texts;
  texts.emplace("/etc/g", "user=clustercheck\npassword=topsecret\n");
  texts.emplace("/etc/k", "user=nines\npassword=topsecret\nproject=service\n");
  take_credentials(loaded, texts);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.config.proxies[0].check.kind, CheckKind::kGalera);
  EXPECT_EQ(loaded.config.proxies[0].check.credentials.user, "clustercheck");
  EXPECT_EQ(loaded.config.proxies[1].check.kind, CheckKind::kKeystone);
  EXPECT_EQ(loaded.config.proxies[1].check.credentials.project, "service");
  const std::string dumped = dump(loaded.config);
  EXPECT_NE(dumped.find("check galera credentials '/etc/g'"), std::string::npos) << dumped;
  EXPECT_EQ(dumped.find("topsecret"), std::string::npos);
}

TEST(CheckConfiguration, a_bad_file_is_an_error_where_it_is_named) {
  LoadedConfig loaded = load(kConfig);
  CredentialTexts texts;
  texts.emplace("/etc/g", Error(ErrorCode::kRefused, "is open to everybody"));
  texts.emplace("/etc/k", "user=nines\ntopsecret\n");
  take_credentials(loaded, texts);
  ASSERT_EQ(loaded.diagnostics.errors(), 2u);
  const text::Diagnostic& first = loaded.diagnostics.all()[0];
  EXPECT_EQ(first.span.line, 7);
  EXPECT_EQ(first.span.column, 35);
  EXPECT_EQ(first.message, "the file of credentials is open to everybody");
  EXPECT_EQ(first.found, "/etc/g");
  EXPECT_EQ(loaded.diagnostics.all()[1].message,
            "the file of credentials line 2: is not of the form KEY = VALUE");
}

TEST(CheckConfiguration, mistakes_in_the_options_say_what_is_allowed) {
  const auto message = [](const std::string& option) {
    const LoadedConfig loaded = load("backend b\n  timeout connect 1s\n  timeout server 1s\n  " +
                                     option + "\n  server a 127.0.0.1:1\n");
    return loaded.diagnostics.has_errors() ? loaded.diagnostics.all()[0].message : "";
  };
  EXPECT_EQ(message("option galera-check"), "'option galera-check' wants 'credentials FILE'");
  EXPECT_EQ(message("option keystone-check credentials"),
            "'option keystone-check' wants a file behind 'credentials'");
  EXPECT_EQ(message("option keystone-check credentials x.cred"),
            "the file of credentials is named by its whole path");
  EXPECT_EQ(message("option galera-check user x"), "unknown argument of 'option galera-check'");
  EXPECT_EQ(message("option galera-check credentials /x available-when-donor"), "");
}

TEST(CheckConfiguration, what_checks_nothing_needs_no_file) {
  EXPECT_TRUE(load("defaults\n  option galera-check credentials /etc/g\n"
                   "frontend f\n  bind :1\n  timeout client 1s\n")
                  .credentials.empty());
  EXPECT_TRUE(load("defaults\n  option galera-check credentials /etc/g\n"
                   "backend b\n  option httpchk\n  server a 127.0.0.1:1\n")
                  .credentials.empty());
}

}  // namespace
}  // namespace nines::proxy
