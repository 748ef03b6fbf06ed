// One pass every kInterval: those that waited too long give up, then each controller's clients
// begin anew.
#include "lab/peer_clients.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sched.h>

#include "base/check.h"

namespace nines::lab {

using Outcome = PeerAttempt::Outcome;

// Ends as soon as it is known how; the next pass takes it away.
class PeerClients::Attempt final : public io::StreamHandler {
 public:
  Attempt(PeerClients& clients, const Host& to, std::size_t record)
      : clients_(clients),
        record_(record),
        stream_(&clients.loop_.connect(to.service, {}, *this)) {}
  ~Attempt() override { close(); }

  bool is_over() const { return stream_ == nullptr; }
  Instant begun() const { return clients_.attempts_[record_].begun; }
  void give_up() { end(Outcome::kSilent); }

  void on_connected(io::Stream&) override { end(Outcome::kConnected); }
  void on_data(io::Stream&, io::LentBytes) override {}
  void on_end(io::Stream&) override { end(Outcome::kFailed); }
  void on_failed(io::Stream&, const Error& error) override {
    end(error.error_number() == ECONNREFUSED   ? Outcome::kRefused
        : error.error_number() == ECONNABORTED ? Outcome::kAborted
                                               : Outcome::kFailed);
  }

 private:
  void end(Outcome outcome) {
    auto& record = clients_.attempts_[record_];
    record.outcome = outcome;
    record.ended = clients_.loop_.now();
    close();
  }
  void close() {
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->close();
  }

  PeerClients& clients_;
  std::size_t record_;
  io::Stream* stream_;
};

// A connection that is to last.
class PeerClients::Hold final : public io::StreamHandler {
 public:
  Hold(PeerClients& clients, const Host& from, const Host& to)
      : clients_(clients), from_(from), to_(to) {}
  ~Hold() override { close(); }

  const Host& from() const { return from_; }
  // Called within the network it is to be opened in.
  void ensure(Instant now) {
    if (stream_ != nullptr && !stands_ && now - begun_ >= kPatience) close();
    if (stream_ != nullptr) return;
    begun_ = now;
    stands_ = false;
    stream_ = &clients_.loop_.connect(to_.service, {}, *this);
  }
  void close() {
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->close();
  }

  void on_connected(io::Stream&) override { stands_ = true; }
  void on_data(io::Stream&, io::LentBytes) override {}
  void on_end(io::Stream&) override { end(); }
  void on_failed(io::Stream&, const Error&) override { end(); }

 private:
  void end() {
    if (stands_ && clients_.breaks_.size() < kRecordsMax) {
      clients_.breaks_.push_back(
          {.host = from_.name, .against = to_.name, .at = clients_.loop_.now()});
    }
    close();
  }

  PeerClients& clients_;
  const Host& from_;
  const Host& to_;
  io::Stream* stream_ = nullptr;
  Instant begun_;
  bool stands_ = false;
};

Result<std::unique_ptr<PeerClients>> PeerClients::create(io::Loop& loop, std::vector<Host> hosts) {
  io::Descriptor home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home) return Error::from_errno(errno, "the network of this thread");
  return std::unique_ptr<PeerClients>(new PeerClients(loop, std::move(hosts), std::move(home)));
}

PeerClients::PeerClients(io::Loop& loop, std::vector<Host> hosts, io::Descriptor home)
    : loop_(loop), hosts_(std::move(hosts)), home_(std::move(home)) {
  for (const auto& host : hosts_) names_.push_back(host.name);
}

PeerClients::~PeerClients() { stop(); }

void PeerClients::start() {
  stop();
  attempts_.clear();
  breaks_.clear();
  for (const auto& from : hosts_) {
    for (const auto& to : hosts_) {
      if (&from != &to) holds_.push_back(std::make_unique<Hold>(*this, from, to));
    }
  }
  loop_.arm(*this, Duration(0));
}

void PeerClients::stop() {
  cancel();
  under_way_.clear();
  holds_.clear();
}

void PeerClients::on_timer(Instant now) {
  loop_.arm(*this, now + kInterval);
  for (auto& each : under_way_) {
    if (!each->is_over() && now - each->begun() >= kPatience) each->give_up();
  }
  std::erase_if(under_way_, [](const auto& each) { return each->is_over(); });
  for (const auto& host : hosts_) {
    within(host.name, [&] { begin_from(host, now); });
  }
}

bool PeerClients::within(std::string_view host, const std::function<void()>& open) const {
  for (const auto& each : hosts_) {
    if (each.name != host || ::setns(each.network.get(), CLONE_NEWNET) != 0) continue;
    open();
    // Held open by us for as long as we are there.
    CHECK(::setns(home_.get(), CLONE_NEWNET) == 0);
    return true;
  }
  return false;
}

void PeerClients::begin_from(const Host& host, Instant now) {
  for (const auto& to : hosts_) {
    if (&to == &host || attempts_.size() >= kRecordsMax || under_way_.size() >= kUnderWayMax) {
      continue;
    }
    attempts_.push_back({.host = host.name, .against = to.name, .begun = now, .ended = {}});
    under_way_.push_back(std::make_unique<Attempt>(*this, to, attempts_.size() - 1));
  }
  for (auto& hold : holds_) {
    if (&hold->from() == &host) hold->ensure(now);
  }
}

}  // namespace nines::lab
