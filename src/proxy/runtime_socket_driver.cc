// A slow reader stops its own connection: nothing is produced while the stream still has a rest to
// send, and nothing is read while something is to be answered.
#include "proxy/runtime_socket_driver.h"

#include <string>
#include <utility>

namespace nines::proxy {

class RuntimeSocketDriver::Connection final : public io::StreamHandler, public Timer {
 public:
  Connection(RuntimeSocketDriver& driver, std::uint64_t id, io::Stream& stream,
             RuntimeClient client)
      : driver_(driver), id_(id), stream_(&stream), machine_(driver.control_, std::move(client)) {
    touch();
  }
  ~Connection() override { close(); }

  void on_data(io::Stream&, io::LentBytes bytes) override {
    touch();
    machine_.receive(bytes.view());
    pump();
  }
  void on_end(io::Stream&) override {
    machine_.end();
    pump();
  }
  void on_drained(io::Stream&) override {
    sending_ = false;
    touch();
    pump();
  }
  void on_failed(io::Stream&, const Error&) override { driver_.drop(id_); }
  void on_timer(Instant) override { driver_.drop(id_); }

  void sessions_came(const std::vector<SessionInfo>& sessions) {
    machine_.sessions_came(sessions);
    pump();
  }

  // Produces and sends until the client, the machine or the pass has enough.
  void pump() {
    std::string portion;
    for (std::size_t sent = 0; !sending_; sent += portion.size()) {
      if (sent >= kBytesPerPass) {
        driver_.pump_later(id_);
        break;
      }
      portion.clear();
      machine_.produce(portion, kPortion);
      if (portion.empty()) break;
      sending_ = stream_->send(portion) == io::Sent::kQueued;
    }
    if (machine_.wants_sessions()) {
      machine_.sessions_asked();
      // May answer at once, and then this connection may be gone.
      driver_.ask_for_sessions(id_);
      return;
    }
    if (machine_.finished() && !sending_) {
      driver_.drop(id_);
      return;
    }
    read_or_not();
  }

  void close() {
    cancel();
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->close();
  }

 private:
  void touch() { driver_.loop_.arm(*this, machine_.client().timeout); }

  void read_or_not() {
    const bool read = machine_.wants_input() && !sending_;
    if (read == reading_) return;
    reading_ = read;
    if (read) {
      stream_->resume();
    } else {
      stream_->pause();
      stream_->watch();  // a client that goes away is noticed all the same
    }
  }

  RuntimeSocketDriver& driver_;
  const std::uint64_t id_;
  io::Stream* stream_;  // null once closed
  RuntimeSocket machine_;
  bool sending_ = false;  // the stream has a rest of what was sent
  bool reading_ = true;
};

class RuntimeSocketDriver::Door final : public io::AcceptHandler {
 public:
  Door(RuntimeSocketDriver& driver, SocketLevel level) : driver_(driver), level_(level) {}
  void on_accepted(io::Stream& stream) override { driver_.accepted(stream, level_); }
  // The loop goes on accepting by itself; clients wait in the kernel's queue.
  void on_accept_exhausted(const Error&) override {}
  SocketLevel level() const { return level_; }

 private:
  RuntimeSocketDriver& driver_;
  SocketLevel level_;
};

RuntimeSocketDriver::RuntimeSocketDriver(io::Loop& loop, Control& control, Duration timeout,
                                         DateText::UtcOffset utc_offset)
    : loop_(loop), control_(control), timeout_(timeout), utc_offset_(utc_offset) {
  for (const SocketLevel level :
       {SocketLevel::kUser, SocketLevel::kOperator, SocketLevel::kAdmin}) {
    doors_.push_back(std::make_unique<Door>(*this, level));
  }
}

RuntimeSocketDriver::~RuntimeSocketDriver() { stop_listening(); }

io::AcceptHandler& RuntimeSocketDriver::acceptor(SocketLevel level) {
  return *doors_[static_cast<std::size_t>(level)];
}

Result<void> RuntimeSocketDriver::listen(const StatsSocketConfig& socket) {
  constexpr unsigned kModeWithoutOne = 0600;
  io::ListenOptions options;
  options.backlog = socket.bind.backlog.value_or(0);
  options.unix_mode = socket.bind.unix_mode != 0 ? socket.bind.unix_mode : kModeWithoutOne;
  acceptors_.push_back(TRY(loop_.listen(socket.bind.address, options, acceptor(socket.level))));
  return {};
}

void RuntimeSocketDriver::stop_listening() {
  for (io::Acceptor* acceptor : std::exchange(acceptors_, {})) acceptor->close();
}

void RuntimeSocketDriver::accepted(io::Stream& stream, SocketLevel level) {
  if (connections_.size() >= kConnectionsMax) {
    stream.send("Too many connections to this socket.\n");
    stream.close();
    return;
  }
  RuntimeClient client;
  client.level = level;
  client.timeout = timeout_;
  client.utc_offset = utc_offset_;
  const std::uint64_t id = next_id_++;
  auto connection = std::make_unique<Connection>(*this, id, stream, std::move(client));
  stream.set_handler(connection.get());
  connections_.emplace(id, std::move(connection));
}

void RuntimeSocketDriver::ask_for_sessions(std::uint64_t id) {
  control_.list_sessions(
      [this, id, alive = std::weak_ptr<bool>(alive_)](const std::vector<SessionInfo>& sessions) {
        if (alive.expired()) return;
        const auto found = connections_.find(id);
        if (found != connections_.end()) found->second->sessions_came(sessions);
      });
}

void RuntimeSocketDriver::pump_later(std::uint64_t id) {
  loop_.post([this, id, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    const auto found = connections_.find(id);
    if (found != connections_.end()) found->second->pump();
  });
}

// A connection is dropped from within its own callbacks: it is destroyed only in a later pass.
void RuntimeSocketDriver::drop(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  found->second->close();
  doomed_.push_back(std::move(found->second));
  connections_.erase(found);
  if (doomed_.size() > 1) return;
  loop_.post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) doomed_.clear();
  });
}

}  // namespace nines::proxy
