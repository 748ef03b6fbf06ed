// Probes servers on behalf of sessions that wait (silence.h), on the control thread's loop.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "io/loop.h"
#include "proxy/runtime.h"
#include "proxy/silence.h"

namespace nines::proxy {

class SilenceDriver {
 public:
  // Told on each change, after ServerState::silent was written. `proxy` and `server` are as in the
  // evidence; the generation they belong to is held meanwhile.
  using Changed = std::function<void(const Proxy& proxy, const Server& server, bool silent)>;

  // The loop outlives it.
  SilenceDriver(io::Loop& loop, Changed changed);
  ~SilenceDriver();
  SilenceDriver(const SilenceDriver&) = delete;
  SilenceDriver& operator=(const SilenceDriver&) = delete;

  // A session has waited for kAnswerPatience on this server of an HTTP backend.
  void on_evidence(std::shared_ptr<const Generation> generation, int proxy, int server);
  std::size_t watched() const { return watches_.size(); }

 private:
  class Watch;

  void forget(const ServerState* server);

  io::Loop& loop_;
  Changed changed_;
  std::map<const ServerState*, std::unique_ptr<Watch>> watches_;
  std::unique_ptr<Watch> forgotten_;  // destroyed with the next one: it may be on the stack
};

}  // namespace nines::proxy
