// An HTTP server of the scenarios: does what each request's target asks of it, writes down what
// arrived, and can be told to be slow, mute or deaf.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "http_message.h"
#include "io/loop.h"

namespace nines::scenarios {

// What reached the servers' applications, by the requests' ids.
struct Journal {
  struct Arrival {
    std::string server;
    std::string method;
  };
  std::map<std::uint64_t, std::vector<Arrival>> arrivals;
  std::uint64_t total = 0;
  // Requests whose answer a server began and could not finish: if its body lasts until the
  // connection's end, nobody can tell.
  std::set<std::uint64_t> cut;
};

class WebServer final : public io::AcceptHandler {
 public:
  WebServer(io::Loop& loop, const SocketAddress& at, std::string name, Journal& journal);
  ~WebServer() override;

  // From now on requests arrive and are not answered.
  void set_mute(bool mute) { mute_ = mute; }
  // Reads a little each time, with pauses.
  void set_slow_reader(bool slow) { slow_reader_ = slow; }
  // Closes each connection that has been idle for so long; zero: never.
  void set_idle_life(Duration life) { idle_life_ = life; }
  void close_idle();  // now
  void set_check_status(int status) { check_status_ = status; }

  const std::string& name() const { return name_; }
  int accepted() const { return accepted_; }
  int served() const { return served_; }  // answers begun
  int open() const { return open_; }
  int busy() const { return busy_; }
  int busy_max() const { return busy_max_; }

  void on_accepted(io::Stream& stream) override;
  void on_accept_exhausted(const Error&) override {}

 private:
  class Connection;

  io::Loop& loop_;
  std::string name_;
  Journal& journal_;
  io::Acceptor* acceptor_;
  bool mute_ = false;
  bool slow_reader_ = false;
  Duration idle_life_{};
  int check_status_ = 200;
  int accepted_ = 0, served_ = 0, open_ = 0, busy_ = 0, busy_max_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;  // ended ones too
};

}  // namespace nines::scenarios
