// The port that everything with a socket or a timer stands on: one loop a thread,
// completion-shaped, epoll beneath it in production (linux/epoll_loop.h) and seeded simulation in
// tests (sim/).
//
// Rules that hold for every implementation:
//  - Handlers run on the loop's thread, one at a time. Nothing here is thread-safe but post().
//  - Streams, datagrams and acceptors belong to the loop. close() ends one; the object stays valid
//    until the end of the current pass and calls no handler any more. Then the pointer is dead.
//  - Bytes handed to on_data are lent: valid, and writable in place, during the callback only.
//  - now() is read once a pass.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "base/timer_wheel.h"

namespace nines::io {

class Stream;
class Loop;

// Bytes lent to a handler for the length of one callback, with room to grow at both ends so that a
// protocol's head can be edited in place.
class LentBytes {
 public:
  static constexpr std::size_t kHeadroom = 512;  // writable bytes in front of what was read
  static constexpr std::size_t kTailroom = 64;   // and behind it

  LentBytes(char* begin, char* data, std::size_t size, char* end)
      : begin_(begin), data_(data), size_(size), end_(end) {}

  char* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return {data_, size_}; }
  std::size_t headroom() const { return static_cast<std::size_t>(data_ - begin_); }
  std::size_t tailroom() const { return static_cast<std::size_t>(end_ - data_) - size_; }

  void drop_front(std::size_t count) { data_ += count, size_ -= count; }  // count <= size()
  void drop_back(std::size_t count) { size_ -= count; }                   // count <= size()
  void grow_front(std::size_t count) { data_ -= count, size_ += count; }  // count <= headroom()
  void grow_back(std::size_t count) { size_ += count; }                   // count <= tailroom()

 private:
  char* begin_;
  char* data_;
  std::size_t size_;
  char* end_;
};

// What a stream's owner hears. The owner must close() the stream before it goes away itself.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // connect() came through. Never called for accepted streams.
  virtual void on_connected(Stream&) {}
  // Bytes came. All that is not used or copied here is gone.
  virtual void on_data(Stream&, LentBytes bytes) = 0;
  // The peer will send no more (its FIN). Called once, after the last on_data, unless paused.
  virtual void on_end(Stream&) = 0;
  // All that was queued by send() is with the kernel now. Only after a send() that answered
  // kQueued.
  virtual void on_drained(Stream&) {}
  // The stream is broken: refused, reset, unreachable. Comes even while reading is paused, as soon
  // as it is seen. Nothing more follows; close() it.
  virtual void on_failed(Stream&, const Error& error) = 0;
};

enum class Sent : std::uint8_t {
  kDone,    // with the kernel
  kQueued,  // a rest is kept by the stream; on_drained() says when it is gone
};

// One connection: TCP or a Unix socket.
class Stream {
 public:
  virtual ~Stream() = default;

  // Sends or queues all of it; the bytes may be reused at once. The queue has no bound of its own:
  // whoever sends stops its source on kQueued. After finish() or a failure the bytes are dropped.
  virtual Sent send(std::string_view bytes) = 0;
  // Announces that more follows within this pass, so that both leave in one segment (MSG_MORE).
  virtual Sent send_more(std::string_view bytes) = 0;
  // Sends our FIN once the queue is empty. Reading goes on.
  virtual void finish() = 0;
  // Reading stops; what the kernel has buffered stays there. A reset is still seen once the stream
  // is watched.
  virtual void pause() = 0;
  virtual void resume() = 0;
  // Makes sure that a reset or the peer's FIN is noticed although reading is paused or was never
  // begun: a fresh accepted stream is not registered with the kernel until it has to wait.
  virtual void watch() = 0;
  // Graceful: the kernel still delivers what was handed to it; the queue's rest is dropped.
  virtual void close() = 0;
  // Close with a reset (SO_LINGER 0).
  virtual void abort() = 0;

  virtual std::size_t queued() const = 0;  // bytes in the stream's own queue
  // True once the peer's FIN or reset was seen, even if not yet delivered because of pause().
  virtual bool peer_gone() const = 0;
  virtual const SocketAddress& peer() const = 0;
  virtual const SocketAddress& local() const = 0;
  // The process at the other end of a Unix socket; empty for TCP.
  struct Credentials {
    int pid;
    unsigned user;
    unsigned group;
  };
  virtual std::optional<Credentials> peer_credentials() const = 0;
  // SO_KEEPALIVE with the kernel's own intervals.
  virtual void set_keepalive(bool on) = 0;
  // From now on the kernel asks the peer's each second, while nothing else is said, whether the
  // connection still stands there (RFC 9293, section 3.8.4). For good, and never a reason to end
  // it: a probe that stays unanswered is told by acknowledgement_overdue(). TCP alone.
  virtual void probe_peer() = 0;
  // The peer's kernel owes an acknowledgement: bytes of ours had to be sent again, or a probe is
  // out. One lost packet looks the same for an instant: look twice. False for Unix sockets.
  virtual bool acknowledgement_overdue() const = 0;
  // Acknowledges at once what came, because more is awaited: a peer that writes in pieces under
  // Nagle's algorithm (RFC 896) holds the next one back until then, and our delayed ACK would
  // cost it 40 ms. Does nothing while more may be read already.
  virtual void acknowledge() {}
  // The descriptor for capabilities of the Linux loop alone (diagnostics); -1 in simulation.
  virtual int descriptor() const { return -1; }

  void set_handler(StreamHandler* handler) { handler_ = handler; }
  StreamHandler* handler() const { return handler_; }

 protected:
  StreamHandler* handler_ = nullptr;
};

class AcceptHandler {
 public:
  virtual ~AcceptHandler() = default;
  // Set the stream's handler here, or close() it. It starts with reading on; if bytes have already
  // come, on_data follows in the same pass.
  virtual void on_accepted(Stream& stream) = 0;
  // accept() failed for want of descriptors or memory; the newest work waits in the kernel's queue
  // and accepting goes on after a pause.
  virtual void on_accept_exhausted(const Error& error) = 0;
};

// One listening socket as seen by one loop.
class Acceptor {
 public:
  virtual ~Acceptor() = default;
  virtual void pause() = 0;  // connections stay in the kernel's queue
  virtual void resume() = 0;
  virtual void close() = 0;
  virtual const SocketAddress& local() const = 0;
};

struct ListenOptions {
  int backlog = 0;        // 0: the kernel's net.core.somaxconn
  bool free_bind = true;  // an address that is not (yet) on the host is bound all the same
  bool defer_accept =
      false;  // accept only once bytes have come: protocols where the client speaks first
  unsigned unix_mode = 0;  // permissions of a Unix socket's path; 0: as the umask says
};

struct ConnectOptions {
  std::optional<SocketAddress> source;
  bool keepalive = false;
  // Servers of some protocols (MySQL, SMTP, SSH) greet first. Without this the handshake's last ACK
  // waits to ride on our first bytes, and such a greeting would come 200 ms late.
  bool peer_may_speak_first = false;
};

class DatagramHandler {
 public:
  virtual ~DatagramHandler() = default;
  virtual void on_datagram(const SocketAddress& from, std::string_view bytes) = 0;
};

class Datagram {
 public:
  virtual ~Datagram() = default;
  // Sends or drops, as datagrams do: a full socket buffer or an ICMP error is not worth a wait.
  // Returns false when it was dropped here.
  virtual bool send_to(const SocketAddress& to, std::string_view bytes) = 0;
  virtual void close() = 0;
  virtual const SocketAddress& local() const = 0;
};

// Runs once after all events of a pass, before streams that were closed are freed.
class EndOfPass {
 public:
  virtual ~EndOfPass() = default;
  virtual void on_end_of_pass() = 0;
};

class Loop {
 public:
  explicit Loop(Instant now) : now_(now), wheel_(now) {}
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Instant now() const { return now_; }
  virtual WallTime wall_time() const = 0;

  void arm(Timer& timer, Instant deadline) { wheel_.arm(timer, deadline); }
  void arm(Timer& timer, Duration delay) { wheel_.arm(timer, now_ + delay); }

  // The handlers are borrowed until close().
  virtual Result<Acceptor*> listen(const SocketAddress& at, const ListenOptions& options,
                                   AcceptHandler& handler) = 0;
  // Never blocks; what cannot even be begun (no descriptor, no route) also comes through
  // on_failed(), in a later pass.
  virtual Stream& connect(const SocketAddress& to, const ConnectOptions& options,
                          StreamHandler& handler) = 0;
  // A UDP socket bound to `local`; port 0 takes any free one. A Unix path gives a Unix socket; the
  // empty path leaves it unnamed, to send only.
  virtual Result<Datagram*> open_datagram(const SocketAddress& local, DatagramHandler& handler) = 0;

  // Runs `task` on the loop's thread in its next pass. The one thread-safe call.
  virtual void post(std::function<void()> task) = 0;

  // Calls `hook` at the end of this pass, once for each request.
  virtual void at_end_of_pass(EndOfPass& hook) = 0;

 protected:
  Instant now_;
  base::TimerWheel wheel_;
};

}  // namespace nines::io
