// The probe is what `option httpchk` of HAProxy asks without arguments, to the byte: every service
// behind a balancer has been asked that for years. Any byte in return will do: an error is an
// answer.
#include "proxy/silence_driver.h"

#include <utility>

namespace nines::proxy {

namespace {

constexpr std::string_view kProbe = "OPTIONS / HTTP/1.0\r\n\r\n";

}  // namespace

class SilenceDriver::Watch final : public io::StreamHandler, private Timer {
 public:
  Watch(SilenceDriver& driver, std::shared_ptr<const Generation> generation, int proxy, int server)
      : driver_(driver),
        generation_(std::move(generation)),
        proxy_(generation_->proxies[static_cast<std::size_t>(proxy)]),
        server_(proxy_.servers[static_cast<std::size_t>(server)]) {}
  ~Watch() override { drop(); }

  void on_evidence() {
    SilenceEffects effects;
    machine_.on_evidence(driver_.loop_.now(), effects);
    carry_out(effects);
  }

 private:
  void carry_out(const SilenceEffects& effects) {
    if (effects.drop_probe) drop();
    if (effects.start_probe) {
      answers_before_ = answers();
      stream_ = &driver_.loop_.connect(server_.config->address, {}, *this);
      stream_->send(kProbe);
    }
    if (effects.doubted) {
      server_.state->doubted.store(*effects.doubted, std::memory_order_relaxed);
    }
    if (effects.silent) {
      server_.state->silent.store(*effects.silent, std::memory_order_relaxed);
      driver_.changed_(proxy_, server_, *effects.silent);
    }
    // A quiet watch is kept for as long as its last answer is trusted, then forgotten.
    driver_.loop_.arm(*this,
                      machine_.deadline().value_or(driver_.loop_.now() + SilenceMachine::kTrust));
  }

  // Of the server to anybody, so far.
  std::uint64_t answers() const {
    std::uint64_t sum = 0;
    for (const ServerCounters& each : server_.state->counters) sum += each.requests.value();
    return sum;
  }

  void drop() {
    // With a reset: a stopped process must not find a queue of probes when it wakes.
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->abort();
  }

  void on_data(io::Stream&, io::LentBytes) override {
    SilenceEffects effects;
    machine_.on_answered(driver_.loop_.now(), effects);
    carry_out(effects);
  }
  void on_end(io::Stream&) override { fail(); }
  void on_failed(io::Stream&, const Error&) override { fail(); }

  void fail() {
    SilenceEffects effects;
    machine_.on_failed(driver_.loop_.now(), effects);
    carry_out(effects);
  }

  void on_timer(Instant now) override {
    SilenceEffects effects;
    // Nor is a server watched on that checks have found down, or that only we remember.
    if (!machine_.deadline() || !server_.state->usable() || generation_.use_count() == 1) {
      machine_.on_failed(now, effects);
      carry_out(effects);
      driver_.forget(server_.state.get());
      return;
    }
    // One that answered somebody meanwhile has its hands full, and is there.
    if (machine_.probing() && answers() != answers_before_) {
      machine_.on_answered(now, effects);
    } else {
      machine_.on_timer(now, effects);
    }
    carry_out(effects);
  }

  SilenceDriver& driver_;
  std::shared_ptr<const Generation> generation_;
  const Proxy& proxy_;
  const Server& server_;
  SilenceMachine machine_;
  std::uint64_t answers_before_ = 0;  // when the last probe went out
  io::Stream* stream_ = nullptr;
};

SilenceDriver::SilenceDriver(io::Loop& loop, Changed changed)
    : loop_(loop), changed_(std::move(changed)) {}

SilenceDriver::~SilenceDriver() = default;

void SilenceDriver::on_evidence(std::shared_ptr<const Generation> generation, int proxy,
                                int server) {
  const auto& of = generation->proxies[static_cast<std::size_t>(proxy)];
  const ServerState* const state = of.servers[static_cast<std::size_t>(server)].state.get();
  auto& watch = watches_[state];
  if (watch == nullptr)
    watch = std::make_unique<Watch>(*this, std::move(generation), proxy, server);
  watch->on_evidence();
}

void SilenceDriver::forget(const ServerState* server) {
  const auto found = watches_.find(server);
  if (found == watches_.end()) return;
  forgotten_ = std::move(found->second);
  watches_.erase(found);
}

}  // namespace nines::proxy
