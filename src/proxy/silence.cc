// Three states; the diagram is in the header.
#include "proxy/silence.h"

namespace nines::proxy {

void SilenceMachine::on_evidence(Instant now, SilenceEffects& out) {
  if (state_ != State::kQuiet || now < trusted_until_) return;
  probe(now, out);
}

void SilenceMachine::on_answered(Instant now, SilenceEffects& out) {
  if (state_ != State::kProbing) return;
  trusted_until_ = now + kTrust;
  settle(out);
}

void SilenceMachine::on_failed(Instant, SilenceEffects& out) {
  if (state_ == State::kQuiet) return;
  settle(out);
}

void SilenceMachine::on_timer(Instant now, SilenceEffects& out) {
  if (!deadline_ || now < *deadline_) return;
  if (state_ == State::kResting) {
    probe(now, out);
    return;
  }
  out.drop_probe = true;
  if (!silent_) out.silent = true;
  silent_ = true;
  state_ = State::kResting;
  deadline_ = now + kProbePause;
}

void SilenceMachine::probe(Instant now, SilenceEffects& out) {
  if (state_ == State::kQuiet) out.doubted = true;
  state_ = State::kProbing;
  deadline_ = now + kProbePatience;
  out.start_probe = true;
}

void SilenceMachine::settle(SilenceEffects& out) {
  out.drop_probe = true;
  out.doubted = false;
  if (silent_) out.silent = false;
  silent_ = false;
  state_ = State::kQuiet;
  deadline_.reset();
}

}  // namespace nines::proxy
