// The daemon judges the word; here it is carried there, and waited for.
#include "lease_command.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>

#include "owner_word.h"
#include "run_control.h"

namespace nines {

namespace {

using Json = nlohmann::json;

constexpr int kExitDone = 0;
constexpr int kExitRefused = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoDaemon = 3;
constexpr auto kPatience = std::chrono::seconds(15);
constexpr auto kAskAgainAfter = std::chrono::milliseconds(50);

void print_usage(FILE* to) {
  std::fputs(
      "usage: nines lease grant [NAME...] --i-have-powered-off NODE [--i-have-powered-off "
      "NODE]...\n"
      "                         [--control SOCKET]\n"
      "\n"
      "To the daemon of the node that is left: these nodes are powered off. It votes alone from "
      "then\n"
      "on, and holds what it can; NAME, an instance of keepalived.conf, is waited for (all unless\n"
      "told). It is refused when one of the nodes is heard, or when another one is not.\n"
      "\n"
      "The nodes must be without power, and stay so until this command ends: a node that lives "
      "and\n"
      "is only cut off goes on owning, and there are two. They may be switched on afterwards.\n"
      "\n"
      "Exit codes: 0 done, 1 refused or not yet done, 2 usage, 3 no daemon answers.\n",
      to);
}

int failed(std::string_view message, int code) {
  std::fprintf(stderr, "nines lease: %.*s\n", static_cast<int>(message.size()), message.data());
  return code;
}

// The daemon's reply as JSON; an error of either is told.
Result<Json> ask(const std::string& control, std::string_view request) {
  const std::string reply = TRY(ask_daemon(control, request));
  Json json = Json::parse(reply, nullptr, false);
  if (!json.is_object()) return Error(ErrorCode::kInvalid, control + " gave no answer");
  if (const auto error = json.find("error"); error != json.end() && error->is_string()) {
    return Error(ErrorCode::kRefused, error->get<std::string>());
  }
  return json;
}

// Whether the word counts and all of `names` are held; otherwise `waits_for` says what is missing.
bool is_done(const Json& status, const std::vector<std::string>& names, std::string& waits_for) {
  const Json cluster = status.value("cluster", Json::object());
  const Json word = cluster.value("word", Json::object());
  if (word.value("pending", true)) {
    std::string awaited;
    for (const Json& node : word.value("awaited", Json::array())) {
      awaited += (awaited.empty() ? "" : ", ") + node.get<std::string>();
    }
    waits_for = awaited.empty() ? "what was granted before runs out"
                                : awaited + " has heard of it, or is named as well";
    return false;
  }
  for (const Json& instance : status.value("instances", Json::array())) {
    const std::string name = instance.value("name", "");
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
    if (instance.value("state", "") == "MASTER") continue;
    waits_for = name + " is held here (it is " + instance.value("state", "") + ")";
    return false;
  }
  return true;
}

int grant(const GrantRequest& request, const std::string& control) {
  const auto given = ask(control, text_of(request));
  if (!given) {
    const bool nobody = given.error().code() == ErrorCode::kNotFound;
    return failed(given.error().message(), nobody ? kExitNoDaemon : kExitRefused);
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::string waits_for;
  while (true) {
    const auto status = ask(control, "status");
    if (!status) return failed(status.error().message(), kExitNoDaemon);
    if (is_done(*status, request.names, waits_for)) {
      std::puts("granted: this node votes alone until the others are back");
      for (const Json& instance : status->value("instances", Json::array())) {
        std::printf("  %s: %s\n", instance.value("name", "").c_str(),
                    instance.value("state", "") == "MASTER" ? "held here" : "not held here");
      }
      return kExitDone;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return failed("the word was given, and waits until " + waits_for, kExitRefused);
    }
    std::this_thread::sleep_for(kAskAgainAfter);
  }
}

}  // namespace

int lease_command(std::span<char*> arguments) {
  const std::string_view verb = arguments.empty() ? "" : arguments[0];
  std::string control{node::kDefaultControlPath};
  std::string words;
  bool help = verb == "--help" || verb == "-h" || verb == "help";
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    help |= word == "--help" || word == "-h";
    if (word == "--control" && i + 1 < arguments.size()) {
      control = arguments[++i];
    } else {
      words += (words.empty() ? "" : " ") + std::string(word);
    }
  }
  if (help) {
    print_usage(stdout);
    return kExitDone;
  }
  if (verb != "grant") {
    if (!verb.empty()) {
      std::fprintf(stderr, "nines lease: no command '%s'; allowed: grant\n\n", arguments[0]);
    }
    print_usage(stderr);
    return kExitUsage;
  }
  const auto request = parse_grant_request(words);
  if (!request) {
    std::fprintf(stderr, "nines lease grant: %s\n\n", request.error().message().c_str());
    print_usage(stderr);
    return kExitUsage;
  }
  return grant(*request, control);
}

}  // namespace nines
