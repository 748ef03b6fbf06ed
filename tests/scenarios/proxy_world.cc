// Deliberately plain HTTP: what is tested stands between these two.
#include "proxy_world.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "proxy/config_load.h"

namespace nines::scenarios {

class WebService::Connection final : public io::StreamHandler, private Timer {
 public:
  Connection(WebService& service, io::Stream& stream) : service_(service), stream_(&stream) {
    stream.set_handler(this);
  }
  ~Connection() override {
    if (stream_ != nullptr) stream_->close();
  }

 private:
  void on_data(io::Stream&, io::LentBytes bytes) override {
    received_ += bytes.view();
    begin_next();
  }
  void begin_next() {
    const auto end = received_.find("\r\n\r\n");
    if (end == std::string::npos || part_ != 0) return;
    const auto space = received_.find(' ');
    ++service_.executions_
          .count[received_.substr(space + 1, received_.find(' ', space + 1) - space - 1)];
    received_.erase(0, end + 4);
    part_ = 1;
    const auto spread = static_cast<std::uint64_t>(
        (service_.options_.works_max - service_.options_.works_min).count());
    service_.loop_.arm(*this, service_.options_.works_min + Duration(static_cast<std::int64_t>(
                                                                service_.rng_.below(spread + 1))));
  }
  void on_timer(Instant) override {
    if (stream_ == nullptr) return;
    const std::size_t size = service_.options_.body_size;
    if (part_ == 1) {
      part_ = 2;
      stream_->send("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(size) + "\r\n\r\n" +
                    std::string(size / 2, 'a'));
      service_.loop_.arm(*this, service_.options_.between_parts);
      return;
    }
    part_ = 0;
    stream_->send(std::string(size - size / 2, 'b'));
    begin_next();
  }
  void on_end(io::Stream&) override { drop(); }
  void on_failed(io::Stream&, const Error&) override { drop(); }
  void drop() {
    cancel();
    std::exchange(stream_, nullptr)->close();
  }

  WebService& service_;
  io::Stream* stream_;
  std::string received_;
  int part_ = 0;  // of the answer, that is to be sent next; 0: none
};

WebService::WebService(sim::Process& process, const SocketAddress& at, Executions& executions,
                       base::Rng& rng, Options options)
    : loop_(process.loop()), executions_(executions), rng_(rng), options_(options) {
  CHECK(loop_.listen(at, {}, *this).has_value());
}
WebService::~WebService() = default;

void WebService::on_accepted(io::Stream& stream) {
  connections_.push_back(std::make_unique<Connection>(*this, stream));
}

Balancer::Balancer(sim::Process& process, std::string config) {
  const std::vector<text::SourceFile> files{text::SourceFile("haproxy.cfg", std::move(config))};
  auto loaded = proxy::load_config(files, {});
  CHECK(loaded.ok());
  proxy::Worker::Options options;
  options.pid = process.id();
  worker_.emplace(process.loop(), static_cast<proxy::Hub&>(*this),
                  static_cast<proxy::ListenerSource&>(*this), options);
  const auto errors = worker_->adopt(
      proxy::Generation::create(std::move(loaded.config), 1, process.loop().now(), nullptr));
  CHECK(errors.empty());
}
Balancer::~Balancer() = default;

Result<io::Acceptor*> Balancer::open(io::Loop& loop, const proxy::BindConfig& bind,
                                     bool client_first, io::AcceptHandler& handler) {
  io::ListenOptions options;
  options.backlog = bind.backlog.value_or(0);
  options.defer_accept = client_first;
  return loop.listen(bind.address, options, handler);
}

WebClient::WebClient(sim::Process& process, const SocketAddress& to, std::string name, int requests)
    : loop_(process.loop()), to_(to), name_(std::move(name)), requests_(requests) {
  next();
}
WebClient::~WebClient() { drop(); }

void WebClient::next() {
  if (done()) {
    cancel();
    drop();
    return;
  }
  if (stream_ == nullptr) stream_ = &loop_.connect(to_, {}, *this);
  const std::size_t number = outcomes_.size();
  current_ = Outcome();
  current_.method = number % 5 == 4 ? "POST" : "GET";
  current_.path = "/" + name_ + "/" + std::to_string(number);
  began_ = loop_.now();
  loop_.arm(*this, kPatience);
  received_.clear();
  stream_->send(current_.method + " " + current_.path + " HTTP/1.1\r\nhost: api\r\n" +
                (current_.method == "POST" ? "content-length: 0\r\n\r\n" : "\r\n"));
}

void WebClient::on_data(io::Stream&, io::LentBytes bytes) {
  received_ += bytes.view();
  const auto end = received_.find("\r\n\r\n");
  if (end == std::string::npos) return;
  current_.status = std::stoi(received_.substr(9, 3));
  std::string head = received_.substr(0, end + 2);
  std::transform(head.begin(), head.end(), head.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto field = head.find("\r\ncontent-length: ");
  if (field == std::string::npos) return;  // to the connection's end
  std::size_t size = 0;
  std::from_chars(head.data() + field + 18, head.data() + head.size(), size);
  if (received_.size() < end + 4 + size) return;
  current_.complete = true;
  if (head.find("\r\nconnection: close") != std::string::npos) drop();
  finish_request();
}

void WebClient::on_end(io::Stream&) { on_failed(*stream_, Error(ErrorCode::kReset, "ended")); }

void WebClient::on_failed(io::Stream&, const Error&) {
  drop();
  // An error's text may end with the connection.
  if (current_.status >= 400) current_.complete = true;
  finish_request();
}

void WebClient::on_timer(Instant) {
  drop();
  finish_request();
}

void WebClient::finish_request() {
  current_.took = loop_.now() - began_;
  outcomes_.push_back(current_);
  next();
}

void WebClient::drop() {
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->close();
}

}  // namespace nines::scenarios
