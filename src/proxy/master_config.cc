// Reading again is reading: one way, whether at the start or while a plane runs.
#include "proxy/master_config.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "proxy/credential_files.h"
#include "text/diagnostics.h"

namespace nines::proxy {

namespace {

std::string environment_of_config(const node::NamedTexts& texts) {
  std::string list;
  for (const auto& [name, content] : texts) {
    if (!list.empty()) list += ';';
    list += name;
  }
  return list;
}

// "FILE:LINE:COLUMN: error: ..." of the first mistake, for a log's single line.
std::string first_error(std::string_view rendered) {
  constexpr std::string_view kMark = ": error: ";
  const auto mark = rendered.find(kMark);
  if (mark == std::string_view::npos) return "the configuration has errors";
  const auto begin = rendered.rfind('\n', mark) + 1;  // npos + 1 is 0
  return std::string(rendered.substr(begin, rendered.find('\n', mark) - begin));
}

}  // namespace

void set_local_peer(const std::string& name) {
  char host[256] = "";
  if (name.empty()) static_cast<void>(::gethostname(host, sizeof host - 1));
  ::setenv("HAPROXY_LOCALPEER", name.empty() ? host : name.c_str(), 1);
}

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view pair = *entry;
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    environment[std::string(pair.substr(0, equals))] = pair.substr(equals + 1);
  }
  return environment;
}

// "-f" names files, or directories whose *.cfg files count in bytewise order.
Result<node::NamedTexts> read_texts(io::Files& files, const std::vector<std::string>& paths) {
  node::NamedTexts texts;
  for (const std::string& path : paths) {
    if (!files.is_directory(path)) {
      texts.emplace_back(path, TRY(files.read(path)));
      continue;
    }
    for (const std::string& name : TRY(files.list(path))) {
      if (!name.ends_with(".cfg") || name.starts_with('.')) continue;
      const std::string full = path + (path.ends_with('/') ? "" : "/") + name;
      texts.emplace_back(full, TRY(files.read(full)));
    }
  }
  if (texts.empty()) return Error(ErrorCode::kNotFound, "no configuration file was given");
  return texts;
}

LoadedConfig parse(const std::vector<text::SourceFile>& files, const node::NamedTexts& texts,
                   const MasterOptions& options) {
  // The plane reads the same words: it has the master's environment.
  Environment environment = process_environment();
  environment["HAPROXY_CFGFILES"] = environment_of_config(texts);
  LoadedConfig loaded = load_config(files, std::move(environment));
  if (options.maxconn) loaded.config.global.maxconn = *options.maxconn;
  return loaded;
}

node::NamedTexts add_credentials(LoadedConfig& loaded) {
  CredentialTexts found = read_credential_files(credential_paths(loaded));
  take_credentials(loaded, found);
  node::NamedTexts texts;
  for (auto& [path, text] : found) {
    if (text) texts.emplace_back(path, *std::move(text));
  }
  return texts;
}

void add_credentials(LoadedConfig& loaded, const node::NamedTexts& texts) {
  CredentialTexts found;
  for (const auto& [path, text] : texts) found.emplace(path, text);
  take_credentials(loaded, found);
}

std::vector<text::SourceFile> as_sources(const node::NamedTexts& texts) {
  std::vector<text::SourceFile> files;
  for (const auto& [name, content] : texts) files.emplace_back(name, content);
  return files;
}

Result<MasterConfig> load_again(io::Files& files, const MasterOptions& options) {
  MasterConfig loaded;
  loaded.texts = TRY(read_texts(files, options.config_paths));
  loaded.files = as_sources(loaded.texts);
  LoadedConfig parsed = parse(loaded.files, loaded.texts, options);
  loaded.credentials = add_credentials(parsed);
  if (!parsed.diagnostics.all().empty() && !options.quiet) {
    std::fputs(
        text::render_text(parsed.diagnostics, loaded.files, {.color = on_terminal()}).c_str(),
        stderr);
  }
  if (!parsed.ok()) {
    const std::size_t more = std::max<std::size_t>(parsed.diagnostics.errors(), 1) - 1;
    return Error(ErrorCode::kInvalid,
                 first_error(text::render_text(parsed.diagnostics, loaded.files)) +
                     (more > 0 ? " (and " + std::to_string(more) + " more)" : ""));
  }
  TRY(find_identity(parsed.config.global));  // a plane that has to start again will need it
  if (!has_listeners(parsed.config)) {
    return Error(ErrorCode::kInvalid, "no enabled listener (check for 'bind' directives)");
  }
  loaded.config = std::move(parsed.config);
  return loaded;
}

std::string not_reloaded(const std::string& reason) {
  return "not reloaded, the running configuration stays: " + reason;
}

bool on_terminal() { return ::isatty(STDERR_FILENO) == 1; }

Result<Identity> find_identity(const GlobalConfig& global) {
  Identity identity;
  if (global.user_id) identity.user = *global.user_id;
  if (global.group_id) identity.group = *global.group_id;
  if (!global.user.empty()) {
    const passwd* const entry = ::getpwnam(global.user.c_str());
    if (entry == nullptr) {
      return Error(ErrorCode::kNotFound, "cannot find the user '" + global.user + "'");
    }
    identity.user = entry->pw_uid;
    if (global.group.empty() && !identity.group) identity.group = entry->pw_gid;
  }
  if (!global.group.empty()) {
    const group* const entry = ::getgrnam(global.group.c_str());
    if (entry == nullptr) {
      return Error(ErrorCode::kNotFound, "cannot find the group '" + global.group + "'");
    }
    identity.group = entry->gr_gid;
  }
  return identity;
}

}  // namespace nines::proxy
