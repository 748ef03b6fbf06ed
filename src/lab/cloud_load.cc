// Each thing under way is a Work with a call of its own; it ends itself through CloudLoad::end().
#include "lab/cloud_load.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "lab/cloud_services.h"
#include "lab/lab_plan.h"
#include "lab/real_services.h"

namespace nines::lab {
namespace {

using Json = nlohmann::json;

constexpr std::uint16_t kIdentityPort = 5000;
constexpr std::uint16_t kComputePort = 8774;
constexpr int kStatusIssued = 201;
constexpr int kStatusAccepted = 202;
constexpr int kStatusGood = 200;

SocketAddress at_address(std::uint16_t port) {
  return *SocketAddress::parse_ip(kVirtualAddress, port);
}

std::string_view reason_of(const HttpReply& reply) {
  switch (reply.status) {
    case 0:
      return reply.reason;
    case 401:
      return "401";
    case 500:
      return "500";
    case 502:
      return "502";
    case 503:
      return "503";
    case 504:
      return "504";
    default:
      return "not what was asked for";
  }
}

std::string server_body() {
  return Json{{"server",
               {{"name", "drill"},
                {"flavorRef", kCloudFlavor},
                {"imageRef", kCloudImage},
                {"networks", "none"}}}}
      .dump();
}

// A text at a path of members; empty where there is none.
std::string text_at(const std::string& body, const char* outer, const char* inner) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains(outer) || !json[outer].is_object()) return {};
  const auto found = json[outer].find(inner);
  return found != json[outer].end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

class CloudLoad::Pace final : public Timer {
 public:
  Pace(io::Loop& loop, Duration interval, std::function<void()> beat)
      : loop_(loop), interval_(interval), beat_(std::move(beat)) {}

  void start(Instant at) { loop_.arm(*this, due_ = at); }

 private:
  void on_timer(Instant now) override {
    // One that was held up skips what it missed.
    while (due_ <= now) due_ = due_ + interval_;
    loop_.arm(*this, due_);
    beat_();
  }

  io::Loop& loop_;
  Duration interval_;
  std::function<void()> beat_;
  Instant due_;
};

class CloudLoad::Work {
 public:
  explicit Work(CloudLoad& load) : load_(load), begun_(load.loop_.now()) {}
  virtual ~Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  virtual void begin() = 0;
  virtual void abandon() = 0;
  virtual bool is_server() const { return false; }
  void set_id(std::uint64_t id) { id_ = id; }

 protected:
  void ask(std::uint16_t port, std::string request, Duration patience,
           std::function<void(HttpReply)> done) {
    call_ = std::make_unique<HttpCall>(load_.loop_, at_address(port), std::move(request), patience,
                                       std::move(done));
  }
  void record(std::vector<RequestRecord>& records, Outcome outcome, std::string_view reason) const {
    records.push_back({begun_, load_.loop_.now(), outcome, reason, -1});
  }
  // Destroys this.
  void end() { load_.end(id_); }
  CloudLoad& load() { return load_; }
  io::Loop& loop() { return load_.loop_; }
  Instant begun() const { return begun_; }

 private:
  CloudLoad& load_;
  Instant begun_;
  std::uint64_t id_ = 0;
  std::unique_ptr<HttpCall> call_;
};

// A token or a list: good when its status is.
class CloudLoad::Request final : public Work {
 public:
  Request(CloudLoad& load, std::vector<RequestRecord>& records, std::uint16_t port,
          std::string request, int good, std::function<void(const HttpReply&)> use)
      : Work(load),
        records_(records),
        port_(port),
        request_(std::move(request)),
        good_(good),
        use_(std::move(use)) {}

  void begin() override {
    ask(port_, std::move(request_), kPatience, [this](HttpReply reply) {
      const bool good = reply.status == good_;
      record(records_, good ? Outcome::kSuccess : Outcome::kFailed,
             good ? std::string_view() : reason_of(reply));
      if (good) use_(reply);
      end();
    });
  }
  void abandon() override { record(records_, Outcome::kUnfinished, {}); }

 private:
  std::vector<RequestRecord>& records_;
  std::uint16_t port_;
  std::string request_;
  int good_;
  std::function<void(const HttpReply&)> use_;
};

//   begin --202--> looked at --BUILD--> looked at again ... --ACTIVE, ERROR--> its end
class CloudLoad::Server final : public Work, private Timer {
 public:
  explicit Server(CloudLoad& load) : Work(load) {}
  ~Server() override { cancel(); }

  bool is_server() const override { return true; }
  void begin() override {
    ask(kComputePort, api_request("POST", "/v2.1/servers", load().token_, server_body()), kPatience,
        [this](HttpReply reply) {
          server_ = reply.status == kStatusAccepted ? text_at(reply.body, "server", "id") : "";
          if (server_.empty()) return finish(Outcome::kFailed, reason_of(reply));
          loop().arm(*this, kLookInterval);
        });
  }
  void abandon() override {
    record(load().records_.servers, Outcome::kUnfinished,
           server_.empty() ? "no answer" : "still in BUILD");
  }

 private:
  void on_timer(Instant) override {
    ask(kComputePort, api_request("GET", "/v2.1/servers/" + server_, load().token_, {}),
        kLookPatience, [this](HttpReply reply) {
          const std::string status =
              reply.status == kStatusGood ? text_at(reply.body, "server", "status") : "";
          if (status == "ACTIVE") return finish(Outcome::kSuccess, {});
          if (status == "ERROR") return finish(Outcome::kFailed, "ERROR");
          loop().arm(*this, kLookInterval);
        });
  }
  void finish(Outcome outcome, std::string_view reason) {
    record(load().records_.servers, outcome, reason);
    end();
  }

  std::string server_;
};

class CloudLoad::Census final : public Work, private Timer {
 public:
  Census(CloudLoad& load, Duration patience, Audit done)
      : Work(load), until_(load.loop_.now() + patience), done_(std::move(done)) {}
  ~Census() override { cancel(); }

  void begin() override {
    // A token of its own: the last one may be from before a fault.
    ask(kIdentityPort, token_request(), kCensusPatience, [this](HttpReply reply) {
      if (reply.status != kStatusIssued) return again();
      count(reply.token);
    });
  }
  void abandon() override {}

 private:
  static constexpr Duration kCensusPatience = 10s;
  static constexpr Duration kCensusInterval = 500ms;

  void on_timer(Instant) override { begin(); }
  void count(const std::string& token) {
    ask(kComputePort, api_request("GET", "/v2.1/servers/detail", token, {}), kCensusPatience,
        [this](HttpReply reply) {
          const Json json = Json::parse(reply.body, nullptr, false);
          if (reply.status != kStatusGood || !json.is_object() || !json.contains("servers")) {
            return again();
          }
          std::map<std::string, int> states;
          for (const auto& each : json["servers"]) ++states[each.value("status", "unknown")];
          finish(std::move(states));
        });
  }
  void again() {
    if (loop().now() >= until_) return finish(std::nullopt);
    loop().arm(*this, kCensusInterval);
  }
  void finish(std::optional<std::map<std::string, int>> states) {
    const auto done = std::move(done_);
    end();
    done(std::move(states));
  }

  Instant until_;
  Audit done_;
};

CloudLoad::CloudLoad(io::Loop& loop)
    : loop_(loop),
      tokens_(std::make_unique<Pace>(loop, kTokenInterval, [this] { begin_token(); })),
      lists_(std::make_unique<Pace>(loop, kListInterval, [this] { begin_list(); })),
      servers_(std::make_unique<Pace>(loop, kServerInterval, [this] { begin_server(); })) {}

CloudLoad::~CloudLoad() = default;

// Not all in the same instant.
void CloudLoad::start() {
  const Instant now = loop_.now();
  tokens_->start(now);
  lists_->start(now + kListInterval / 3);
  servers_->start(now + kServerInterval / 3);
}

void CloudLoad::stop_servers() { servers_->cancel(); }

void CloudLoad::stop() {
  tokens_->cancel();
  lists_->cancel();
  servers_->cancel();
}

void CloudLoad::abandon() {
  for (const auto& [id, work] : under_way_) work->abandon();
  under_way_.clear();
}

int CloudLoad::servers_under_way() const {
  int count = 0;
  for (const auto& [id, work] : under_way_) count += work->is_server() ? 1 : 0;
  return count;
}

void CloudLoad::audit(Duration patience, Audit done) {
  add(std::make_unique<Census>(*this, patience, std::move(done)));
}

void CloudLoad::begin_token() {
  if (under_way_.size() >= kUnderWayMax) return;
  add(std::make_unique<Request>(*this, records_.tokens, kIdentityPort, token_request(),
                                kStatusIssued,
                                [this](const HttpReply& reply) { token_ = reply.token; }));
}

void CloudLoad::begin_list() {
  if (!may_begin()) return;
  add(std::make_unique<Request>(*this, records_.lists, kComputePort,
                                api_request("GET", "/v2.1/servers/detail", token_, {}), kStatusGood,
                                [](const HttpReply&) {}));
}

void CloudLoad::begin_server() {
  if (!may_begin()) return;
  add(std::make_unique<Server>(*this));
}

void CloudLoad::add(std::unique_ptr<Work> work) {
  const std::uint64_t id = ++last_id_;
  work->set_id(id);
  Work& begun = *under_way_.emplace(id, std::move(work)).first->second;
  begun.begin();
}

void CloudLoad::end(std::uint64_t id) { under_way_.erase(id); }

}  // namespace nines::lab
