// The client of a drill on an OpenStack: asks for tokens, lists servers and creates servers at a
// steady pace, each server followed until it is ACTIVE or in ERROR. Lives on the loop it is given,
// in the network that the loop's thread was in when it began.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "io/loop.h"
#include "lab/cloud_report.h"
#include "lab/http_call.h"

namespace nines::lab {

class CloudLoad {
 public:
  static constexpr Duration kTokenInterval = 1s;
  static constexpr Duration kListInterval = 1s;
  static constexpr Duration kServerInterval = 2s;
  // As long as clients wait who are not told otherwise: the balancer gives up after a minute.
  static constexpr Duration kPatience = 65s;
  // Of one question after a server: the next one may go elsewhere.
  static constexpr Duration kLookPatience = 2s;
  static constexpr Duration kLookInterval = 250ms;
  // Beyond this many things under way nothing is begun.
  static constexpr std::size_t kUnderWayMax = 500;

  explicit CloudLoad(io::Loop& loop);
  ~CloudLoad();

  void start();
  void stop_servers();  // begins no more of them
  void stop();          // begins nothing more
  bool idle() const { return under_way_.empty(); }
  void abandon();  // what is under way is recorded as unfinished

  const CloudRecords& records() const { return records_; }
  // Servers under way.
  int servers_under_way() const;

  // Asks how many servers there are in each state, until that is answered or `patience` is over.
  using Audit = std::function<void(std::optional<std::map<std::string, int>>)>;
  void audit(Duration patience, Audit done);

 private:
  class Pace;
  class Work;
  class Request;
  class Server;
  class Census;

  void begin_token();
  void begin_list();
  void begin_server();
  bool may_begin() const { return under_way_.size() < kUnderWayMax && !token_.empty(); }
  void add(std::unique_ptr<Work> work);
  void end(std::uint64_t id);

  io::Loop& loop_;
  CloudRecords records_;
  std::string token_;  // the newest
  std::unique_ptr<Pace> tokens_, lists_, servers_;
  std::map<std::uint64_t, std::unique_ptr<Work>> under_way_;
  std::uint64_t last_id_ = 0;
};

}  // namespace nines::lab
