// Files, globs, interfaces and users: what the parser asks for, and what a test of the
// configuration adds to it.
#include "vrrp/config_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include <glob.h>
#include <net/if.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "vrrp/command_line.h"

namespace nines::vrrp {

namespace {

Result<text::SourceFile> read_source(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (!file) return Error::from_errno(errno, path);
  std::string content;
  char buffer[16384];
  for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, file.get())) > 0;) {
    content.append(buffer, count);
    if (content.size() > kConfigBytesMax) {
      return Error(ErrorCode::kExhausted, path + ": this file is too large");
    }
  }
  if (std::ferror(file.get()) != 0) return Error::from_errno(errno, path);
  return text::SourceFile(path, std::move(content));
}

Result<std::vector<text::SourceFile>> include(std::string_view pattern,
                                              std::string_view including) {
  std::string path(pattern);
  if (!path.starts_with('/')) {
    const std::size_t slash = including.find_last_of('/');
    if (slash != std::string_view::npos) path.insert(0, including.substr(0, slash + 1));
  }
  glob_t found{};
  const int status = ::glob(path.c_str(), GLOB_BRACE | GLOB_MARK, nullptr, &found);
  const std::unique_ptr<glob_t, void (*)(glob_t*)> release(&found, &::globfree);
  std::vector<text::SourceFile> files;
  if (status == GLOB_NOMATCH) return files;
  if (status != 0) return Error(ErrorCode::kSystem, "cannot search for '" + path + "'");
  for (std::size_t i = 0; i < found.gl_pathc; ++i) {
    const std::string name = found.gl_pathv[i];
    if (name.ends_with('/')) continue;  // keepalived leaves folders out too
    files.push_back(TRY(read_source(name)));
  }
  return files;
}

std::string host_id() {
  utsname names{};
  if (::uname(&names) != 0) return {};
  const std::string name = names.nodename;
  return name.substr(0, name.find('.'));
}

// The place of a word that is known by its line only.
text::Span find_span(const LoadedConfig& loaded, const Place& place, std::string_view word) {
  for (std::size_t i = 0; i < loaded.files.size(); ++i) {
    const text::SourceFile& file = loaded.files[i];
    if (file.name() != place.file) continue;
    const std::string_view line = file.line(place.line);
    std::size_t begin = line.find(word), end = begin + word.size();
    if (begin == std::string_view::npos) {
      begin = std::min(line.find_first_not_of(" \t"), line.size());
      end = line.size();
    }
    return file.span(static_cast<std::uint32_t>(i), place.line, begin, end);
  }
  return {};
}

// The line that says `keyword word` in the block that begins at `block`, else the block's line.
Place find_line(const LoadedConfig& loaded, const Place& block, std::string_view keyword,
                std::string_view word) {
  for (const text::SourceFile& file : loaded.files) {
    if (file.name() != block.file) continue;
    for (int number = block.line; number <= file.line_count(); ++number) {
      const std::string_view line = file.line(number);
      const std::size_t at = line.find(keyword);
      if (at != std::string_view::npos && line.find(word, at + keyword.size()) != line.npos) {
        return {block.file, number};
      }
    }
  }
  return block;
}

std::string list_interfaces() {
  std::vector<std::string> names;
  if (struct if_nameindex* const all = ::if_nameindex(); all != nullptr) {
    for (struct if_nameindex* each = all; each->if_index != 0; ++each) {
      names.emplace_back(each->if_name);
    }
    ::if_freenameindex(all);
  }
  std::sort(names.begin(), names.end());
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

bool user_exists(const std::string& name) { return ::getpwnam(name.c_str()) != nullptr; }

// A path, or a bare name that one of the usual folders holds.
bool can_be_run(const std::string& command) {
  const auto executable = [](const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
           (status.st_mode & 0111) != 0;
  };
  if (command.find('/') != std::string::npos) return executable(command);
  const char* const set = std::getenv("PATH");
  std::string folders = set != nullptr ? set : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
  folders += ':';
  for (std::size_t begin = 0, end = 0; (end = folders.find(':', begin)) != std::string::npos;
       begin = end + 1) {
    if (executable(folders.substr(begin, end - begin) + "/" + command)) return true;
  }
  return false;
}

class HostCheck {
 public:
  explicit HostCheck(LoadedConfig& loaded) : loaded_(loaded), config_(loaded.config) {}

  void run() {
    check_user(config_.global.script_user, {loaded_.files[0].name(), 1});
    for (const VrrpInstance& instance : config_.instances) check_instance(instance);
    for (const SyncGroup& group : config_.sync_groups) {
      for (const Track& track : group.track_interfaces) check_interface(track.name, track.place);
      for (const Command* command : commands_of(group.notifications)) {
        check_user(command->user, command->place);
      }
    }
    for (const VrrpScript& script : config_.scripts) check_script(script);
    loaded_.diagnostics.sort();
  }

 private:
  void check_instance(const VrrpInstance& instance) {
    check_interface(instance.interface,
                    find_line(loaded_, instance.place, "interface", instance.interface));
    for (const auto* list : {&instance.addresses, &instance.excluded_addresses}) {
      for (const VirtualAddress& address : *list) {
        if (address.device != instance.interface) check_interface(address.device, address.place);
      }
    }
    for (const Track& track : instance.track_interfaces) check_interface(track.name, track.place);
    for (const VirtualRoute& route : instance.routes) check_interface(route.device, route.place);
    for (const VirtualRule& rule : instance.rules) {
      check_interface(rule.from_interface, rule.place);
      check_interface(rule.to_interface, rule.place);
    }
    for (const Command* command : commands_of(instance.notifications)) {
      check_user(command->user, command->place);
    }
  }

  void check_interface(const std::string& name, const Place& place) {
    if (name.empty() || ::if_nametoindex(name.c_str()) != 0) return;
    loaded_.diagnostics.error(find_span(loaded_, place, name), "this host has no such interface")
        .with_found(name)
        .with_allowed(list_interfaces());
  }

  void check_script(const VrrpScript& script) {
    check_user(script.command.user, script.command.place);
    if (script.command.empty()) return;
    if (!can_be_run(script.command.words[0])) {
      loaded_.keepalived_complains = true;
      loaded_.diagnostics
          .warning(find_span(loaded_, script.command.place, script.command.words[0]),
                   "there is no such program on this host")
          .with_found(script.command.words[0]);
    }
    // keepalived removes such scripts.
    if (config_.global.enable_script_security && script.command.user.empty() &&
        config_.global.script_user.empty() && !user_exists("keepalived_script")) {
      loaded_.keepalived_complains = true;
      loaded_.diagnostics
          .warning(find_span(loaded_, script.command.place, script.command.words[0]),
                   "with script security this runs as user keepalived_script, who does not exist")
          .with_help("add the user, or name another with 'script_user'");
    }
  }

  void check_user(const std::string& name, const Place& place) {
    if (name.empty() || user_exists(name)) return;
    loaded_.diagnostics.error(find_span(loaded_, place, name), "this host has no such user")
        .with_found(name);
  }

 public:
  static std::vector<const Command*> commands_of(const Notifications& n) {
    return {&n.master, &n.backup, &n.fault, &n.stop, &n.deleted, &n.master_rx_lower_priority,
            &n.any};
  }

 private:
  LoadedConfig& loaded_;
  const Config& config_;
};

}  // namespace

Result<LoadedConfig> load_config_file(const std::string& path, std::string config_id) {
  text::SourceFile file = TRY(read_source(path));
  if (config_id.empty()) config_id = host_id();
  return load_config(std::move(file), {std::move(config_id), include});
}

void check_names_on_host(LoadedConfig& loaded) { HostCheck(loaded).run(); }

int config_test_status(const LoadedConfig& loaded) {
  if (!loaded.ok() || loaded.keepalived_complains) return kExitConfig;
  if (loaded.config.global.enable_script_security) return kExitGood;
  if (!loaded.config.scripts.empty()) return kExitScriptSecurity;
  const auto runs_any = [](const auto& each) {
    const auto commands = HostCheck::commands_of(each.notifications);
    return std::any_of(commands.begin(), commands.end(), [](const Command* command) {
      return !command->empty() && can_be_run(command->words[0]);
    });
  };
  const Config& config = loaded.config;
  if (std::any_of(config.instances.begin(), config.instances.end(), runs_any) ||
      std::any_of(config.sync_groups.begin(), config.sync_groups.end(), runs_any)) {
    return kExitScriptSecurity;
  }
  return kExitGood;
}

}  // namespace nines::vrrp
