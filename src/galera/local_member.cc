// What is on the disk first, then the server if it runs, else its storage engine.
#include "galera/local_member.h"

#include <cctype>
#include <cerrno>
#include <filesystem>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/files.h"

namespace nines::galera {

namespace {

// Files of a state transfer under way: a server removes them when it has come through.
constexpr std::string_view kTransferMarks[] = {"sst_in_progress", "wsrep_sst.pid",
                                               "rsync_sst_complete", ".sst"};
constexpr std::string_view kEngineFile = "ibdata1";
// Of /proc/PID/net/unix: __SO_ACCEPTCON and SOCK_STREAM.
constexpr std::string_view kListeningFlags = "00010000", kStreamType = "0001";

bool exists(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

bool is_server_name(std::string_view name) { return name == "mariadbd" || name == "mysqld"; }

}  // namespace

Result<std::optional<int>> find_server(const std::string& data) {
  struct stat wanted;
  if (::stat(data.c_str(), &wanted) != 0) return Error::from_errno(errno, data);
  io::LinuxFiles files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (!std::isdigit(static_cast<unsigned char>(name.front()))) continue;
    const std::string process = "/proc/" + name;
    auto command = files.read(process + "/comm");
    if (!command) continue;  // it has ended meanwhile
    while (!command->empty() && command->back() == '\n') command->pop_back();
    if (!is_server_name(*command)) continue;
    struct stat place;
    if (::stat((process + "/cwd").c_str(), &place) != 0) {
      if (errno == ENOENT || errno == ESRCH) continue;
      return Error::from_errno(errno, "the working directory of " + *command + ", process " + name);
    }
    if (place.st_dev == wanted.st_dev && place.st_ino == wanted.st_ino) {
      return std::optional<int>(std::stoi(name));
    }
  }
  if (error) return Error(ErrorCode::kSystem, "/proc: " + error.message());
  return std::optional<int>();
}

Result<bool> takes_clients(int process) {
  io::LinuxFiles files;
  const std::string folder = "/proc/" + std::to_string(process);
  const std::string table = TRY(files.read(folder + "/net/unix"));
  std::set<std::string> listening;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    // Num RefCount Protocol Flags Type St Inode Path (proc(5)).
    std::istringstream fields(line);
    std::string number, references, protocol, flags, type, state, inode;
    if (!(fields >> number >> references >> protocol >> flags >> type >> state >> inode)) continue;
    if (flags == kListeningFlags && type == kStreamType) listening.insert("socket:[" + inode + "]");
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/fd", error)) {
    std::error_code gone;
    if (listening.contains(std::filesystem::read_symlink(entry.path(), gone).string())) return true;
  }
  if (error) return Error(ErrorCode::kSystem, folder + "/fd: " + error.message());
  return false;
}

void LocalMember::collect(bool is_full, Done done) {
  done_ = std::move(done);
  evidence_ = {};
  evidence_.member = options_.name;
  auto server = find_server(options_.data);
  if (!server) {
    // Later, as every answer comes.
    loop_.post([this, error = server.error()] { std::exchange(done_, nullptr)(error); });
    return;
  }
  read_files();
  if (*server) {
    evidence_.server = Evidence::Server::kStarting;
    const auto is_open = takes_clients(**server);
    evidence_.is_closed = is_open && !*is_open;
    evidence_.recovered_fault = "not asked: process " + std::to_string(**server) + " has the data";
    ask_server();
  } else if (evidence_.data == Evidence::Data::kPresent && !is_full) {
    evidence_.recovered_fault = "not asked";
    finish_later();
  } else if (evidence_.data == Evidence::Data::kPresent) {
    recover();
  } else {
    evidence_.recovered_fault = "there is nothing to recover";
    finish_later();
  }
}

void LocalMember::read_files() {
  io::LinuxFiles files;
  const std::string folder = options_.data + '/';
  if (const auto text = files.read(folder + std::string(kGrastateName)); !text) {
    evidence_.grastate_fault = text.error().message();
  } else if (auto parsed = parse_grastate(*text); parsed) {
    evidence_.grastate = std::move(*parsed);
  } else {
    evidence_.grastate_fault = parsed.error().message();
  }
  const std::string view = folder + std::string(kGvwstateName);
  if (const auto text = files.read(view); text) {
    if (auto parsed = parse_gvwstate(*text); parsed) {
      evidence_.gvwstate = std::move(*parsed);
    } else {
      evidence_.gvwstate_fault = parsed.error().message();
    }
  } else if (exists(view)) {
    evidence_.gvwstate_fault = text.error().message();
  }
  for (const std::string_view mark : kTransferMarks) {
    evidence_.is_torn = evidence_.is_torn || exists(folder + std::string(mark));
  }
  const bool has_engine = exists(folder + std::string(kEngineFile));
  evidence_.data = has_engine || evidence_.grastate || exists(folder + "mysql")
                       ? Evidence::Data::kPresent
                       : Evidence::Data::kEmpty;
}

void LocalMember::ask_server() {
  client_.ask({std::string(kStatusQuery), std::string(kVariablesQuery)}, options_.answer_within,
              [this](ServerAnswer answer) {
                if (answer.contact != Look::Contact::kAnswered || answer.error != 0) {
                  evidence_.server_said = answer.said;
                  finish();
                  return;
                }
                WsrepStatus status;
                for (const auto& [name, value] : answer.rows) read_wsrep_row({name, value}, status);
                evidence_.running = status.position;
                evidence_.component_size = status.cluster_size;
                evidence_.local_state = status.local_state;
                // It says so before it takes statements, and after a view that it has to catch up
                // with.
                if (status.local_state == LocalState::kSynced && !status.is_ready) {
                  evidence_.local_state = LocalState::kJoined;
                }
                evidence_.is_closed = false;
                if (status.is_on && status.is_primary) {
                  evidence_.server = Evidence::Server::kPrimary;
                } else if (status.is_on && status.is_connected && status.cluster_size > 0) {
                  evidence_.server = Evidence::Server::kNonPrimary;
                } else {
                  evidence_.server_said = status.is_on ? "in no component" : "wsrep is off";
                }
                finish();
              });
}

void LocalMember::recover() {
  std::vector<std::string> words = options_.recover;
  words.insert(words.end(), {"--wsrep-recover", "--disable-log-error"});
  auto child = Child::start(
      loop_, processes_, std::move(words), options_.recover_within, [this](ChildEnd end) {
        if (auto position = parse_recovered(end.errors)) {
          evidence_.recovered = std::move(*position);
        } else {
          evidence_.recovered_fault = end.is_good() ? position.error().message() : end.text();
        }
        finish();
      });
  if (child) {
    child_ = std::move(*child);
    return;
  }
  evidence_.recovered_fault = child.error().message();
  finish_later();
}

void LocalMember::finish_later() {
  loop_.post([this] { finish(); });
}

void LocalMember::finish() {
  const std::string mark = options_.state + '/' + std::string(kJoiningMark);
  const bool is_synced = evidence_.server == Evidence::Server::kPrimary &&
                         evidence_.local_state == LocalState::kSynced;
  if (is_synced) {
    ::unlink(mark.c_str());
  } else if (exists(mark) && evidence_.doubt.empty()) {
    evidence_.doubt = "it was taking the state from others when it was last seen";
  }
  std::exchange(done_, nullptr)(std::move(evidence_));
}

}  // namespace nines::galera
