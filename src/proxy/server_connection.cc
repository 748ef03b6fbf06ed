// Events go to the user while there is one; in the pool any event means that the connection is
// over.
#include "proxy/server_connection.h"

#include <algorithm>

#include "base/check.h"

namespace nines::proxy {

void ServerConnection::start(const SocketAddress& to, bool keepalive, bool server_first) {
  stream_ = &worker_.loop().connect(
      to,
      io::ConnectOptions{
          .source = {}, .keepalive = keepalive, .peer_may_speak_first = server_first},
      *this);
}

void ServerConnection::release() {
  CHECK(!closed_ && !pooled_);
  user_ = nullptr;
  if (pool_.idle.size() >= kIdlePerServerMax || stream_->peer_gone() || worker_.stopping()) {
    close();
    return;
  }
  pooled_ = true;
  idle_since_ = worker_.loop().now();
  pool_.idle.push_back(this);
  pool_.state->idle.add(1);
}

void ServerConnection::close() {
  if (closed_) return;
  closed_ = true;
  leave_pool();
  user_ = nullptr;
  stream_->close();
  worker_.end_connection(*this);
}

void ServerConnection::abort() {
  if (closed_) return;
  closed_ = true;
  leave_pool();
  user_ = nullptr;
  stream_->abort();
  worker_.end_connection(*this);
}

void ServerConnection::leave_pool() {
  if (!pooled_) return;
  pooled_ = false;
  std::erase(pool_.idle, this);
  pool_.state->idle.add(-1);
}

void ServerConnection::on_connected(io::Stream&) {
  connected_ = true;
  if (user_ != nullptr) user_->on_server_connected();
}

void ServerConnection::on_data(io::Stream&, io::LentBytes bytes) {
  if (user_ != nullptr) {
    user_->on_server_data(bytes);
  } else {
    close();  // nobody asked: an answer without a request is never given to the next one
  }
}

void ServerConnection::on_end(io::Stream&) {
  if (user_ != nullptr) {
    user_->on_server_end();
  } else {
    close();
  }
}

void ServerConnection::on_drained(io::Stream&) {
  if (user_ != nullptr) user_->on_server_drained();
}

void ServerConnection::on_failed(io::Stream&, const Error& error) {
  if (user_ != nullptr) {
    user_->on_server_failed(error);
  } else {
    close();
  }
}

}  // namespace nines::proxy
