// The simulated world itself: what the network, processes, clocks and disks do under faults, over
// many seeds, and that a seed decides everything.
#include "sim/world.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sim/for_each_seed.h"

namespace nines::sim {
namespace {

using io::LentBytes;
using io::Sent;
using io::Stream;

// A service that answers every byte with the same byte, and stops reading when nobody takes them.
struct EchoService : io::AcceptHandler, io::StreamHandler {
  EchoService(io::Loop& loop, const SocketAddress& at, const io::ListenOptions& options = {}) {
    EXPECT_TRUE(loop.listen(at, options, *this).has_value());
  }
  void on_accepted(Stream& stream) override { stream.set_handler(this); }
  void on_accept_exhausted(const Error&) override { ++exhausted; }
  void on_data(Stream& stream, LentBytes bytes) override {
    if (stream.send(bytes.view()) == Sent::kQueued) stream.pause();
  }
  void on_drained(Stream& stream) override { stream.resume(); }
  void on_end(Stream& stream) override { stream.finish(), stream.close(); }
  void on_failed(Stream& stream, const Error&) override { stream.close(); }
  int exhausted = 0;
};

struct Client : io::StreamHandler {
  Client(io::Loop& loop, const SocketAddress& to) : loop_(loop) {
    stream = &loop.connect(to, {}, *this);
  }
  ~Client() override {
    if (stream != nullptr) stream->close();
  }
  void on_connected(Stream&) override { connected_at = loop_.now(); }
  void on_data(Stream&, LentBytes bytes) override { received += bytes.view(); }
  void on_end(Stream&) override { ended = true; }
  void on_failed(Stream&, const Error& error) override {
    failure = error.code();
    failed_at = loop_.now();
  }
  bool connected() const { return connected_at != Instant{}; }

  io::Loop& loop_;
  Stream* stream = nullptr;
  Instant connected_at{}, failed_at{};
  std::string received;
  bool ended = false;
  std::optional<ErrorCode> failure;
};

struct DatagramNote : io::DatagramHandler {
  void on_datagram(const SocketAddress&, std::string_view bytes) override {
    texts.emplace_back(bytes);
  }
  std::vector<std::string> texts;
};

std::string numbers(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
  return text;
}

// Two hosts with a service on one and a client's process on the other.
struct Pair {
  explicit Pair(World& in)
      : world(in),
        a(in.add_host("a", {"10.0.0.1"})),
        b(in.add_host("b", {"10.0.0.2", "10.0.0.22"})),
        user(a.start("user")),
        web(b.start("web")),
        at(b.address(80)) {}
  World& world;
  Host& a;
  Host& b;
  Process& user;
  Process& web;
  SocketAddress at;
};

TEST(Streams, BytesArriveInOrderAndIntactThroughABadNetwork) {
  for_each_seed(60, [](std::uint64_t, World& world) {
    Link bad;
    bad.latency_max = 30ms;
    bad.loss = static_cast<double>(world.rng().below(25)) / 100;
    bad.duplication = 0.1;
    world.set_default_link(bad);
    Pair pair(world);
    pair.a.set_buffers(64u << 10, 32u << 10);
    pair.web.make<EchoService>(pair.web.loop(), pair.at);
    Client client(pair.user.loop(), pair.at);
    const std::string sent = numbers(200'000);
    client.stream->send(sent);
    client.stream->finish();
    EXPECT_TRUE(world.run_until([&] { return client.ended || client.failure; }, 600s));
    EXPECT_EQ(client.failure, std::nullopt);
    EXPECT_TRUE(client.received == sent);
  });
}

TEST(Streams, SurviveShortCutsInEitherDirection) {
  for_each_seed(40, [](std::uint64_t, World& world) {
    Pair pair(world);
    pair.web.make<EchoService>(pair.web.loop(), pair.at);
    Client client(pair.user.loop(), pair.at);
    const std::string sent = numbers(3'000'000);
    client.stream->send(sent);
    client.stream->finish();
    for (int i = 0; i < 4; ++i) {
      Host& from = world.rng().chance(0.5) ? pair.a : pair.b;
      Host& to = &from == &pair.a ? pair.b : pair.a;
      const auto begin = Duration(static_cast<std::int64_t>(world.rng().below(3'000'000)));
      world.after(begin, [&world, &from, &to] { world.cut(from, to); });
      world.after(begin + 300ms, [&world, &from, &to] { world.heal(from, to); });
    }
    EXPECT_TRUE(world.run_until([&] { return client.ended || client.failure; }, 60s));
    EXPECT_EQ(client.failure, std::nullopt);
    EXPECT_TRUE(client.received == sent);
  });
}

TEST(Connecting, TakesOneRoundTrip) {
  World world(1);
  Link link;
  link.latency_min = link.latency_max = 10ms;
  world.set_default_link(link);
  Pair pair(world);
  pair.web.make<EchoService>(pair.web.loop(), pair.at);
  const Instant begin = pair.user.loop().now();
  Client client(pair.user.loop(), pair.at);
  ASSERT_TRUE(world.run_until([&] { return client.connected(); }, 1s));
  EXPECT_GE(client.connected_at - begin, 20ms);
  EXPECT_LT(client.connected_at - begin, 21ms);
}

TEST(Connecting, IsTriedAgainAfterASecondWhenTheFirstSynIsLost) {
  World world(1);
  Pair pair(world);
  pair.web.make<EchoService>(pair.web.loop(), pair.at);
  world.cut(pair.a, pair.b);
  world.after(2500ms, [&] { world.heal(pair.a, pair.b); });
  const Instant begin = pair.user.loop().now();
  Client client(pair.user.loop(), pair.at);
  ASSERT_TRUE(world.run_until([&] { return client.connected(); }, 10s));
  EXPECT_EQ(milliseconds_of(client.connected_at - begin), 3000);  // after 1 s, then 2 s
}

TEST(Connecting, IntoABlackHoleTimesOutAfterLinuxsTwoMinutes) {
  World world(1);
  Pair pair(world);
  world.cut(pair.b, pair.a);  // the answers vanish
  const Instant begin = pair.user.loop().now();
  Client client(pair.user.loop(), pair.at);
  ASSERT_TRUE(world.run_until([&] { return client.failure.has_value(); }, 600s));
  EXPECT_EQ(client.failure, ErrorCode::kTimeout);
  EXPECT_EQ(milliseconds_of(client.failed_at - begin) / 1000, 127);
}

TEST(Connecting, ToAnAddressThatNobodyHasIsUnreachableAfterThreeSeconds) {
  World world(1);
  Pair pair(world);
  Client client(pair.user.loop(), *SocketAddress::parse("10.0.0.99:80"));
  ASSERT_TRUE(world.run_until([&] { return client.failure.has_value(); }, 10s));
  EXPECT_EQ(client.failure, ErrorCode::kUnreachable);
}

TEST(Connecting, AFullBacklogDropsSynsUntilThereIsRoom) {
  World world(1);
  Pair pair(world);
  io::ListenOptions options;
  options.backlog = 2;
  pair.web.make<EchoService>(pair.web.loop(), pair.at, options);
  pair.web.pause();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<Client>(pair.user.loop(), pair.at));
  }
  world.run_for(500ms);
  const auto connected = [&] {
    return std::count_if(clients.begin(), clients.end(),
                         [](const auto& client) { return client->connected(); });
  };
  EXPECT_EQ(connected(), 3);  // as on Linux: one more than the backlog says
  pair.web.resume();
  EXPECT_TRUE(world.run_until([&] { return connected() == 5; }, 2s));
}

TEST(Processes, AStoppedOneStillAcceptsAndBuffersInItsKernel) {
  World world(1);
  Pair pair(world);
  pair.web.make<EchoService>(pair.web.loop(), pair.at);
  pair.web.pause();
  Client client(pair.user.loop(), pair.at);
  client.stream->send("patience");
  world.run_for(60s);
  EXPECT_TRUE(client.connected());
  EXPECT_EQ(client.received, "");
  EXPECT_EQ(client.failure, std::nullopt);
  pair.web.resume();
  EXPECT_TRUE(world.run_until([&] { return client.received == "patience"; }, 10ms));
}

TEST(Processes, AKilledOneEndsItsStreamsAndRefusesNewOnes) {
  World world(1);
  Pair pair(world);
  pair.web.make<EchoService>(pair.web.loop(), pair.at);
  Client idle(pair.user.loop(), pair.at);
  ASSERT_TRUE(world.run_until([&] { return idle.connected(); }, 1s));
  world.run_for(1ms);
  pair.web.kill();
  ASSERT_TRUE(world.run_until([&] { return idle.ended; }, 1s));  // Linux sends a FIN
  idle.stream->send("anybody?");
  ASSERT_TRUE(world.run_until([&] { return idle.failure.has_value(); }, 1s));
  EXPECT_EQ(idle.failure, ErrorCode::kReset);
  Client late(pair.user.loop(), pair.at);
  ASSERT_TRUE(world.run_until([&] { return late.failure.has_value(); }, 1s));
  EXPECT_EQ(late.failure, ErrorCode::kRefused);
}

TEST(Processes, OneThatDiesWithUnreadBytesResetsTheirSender) {
  World world(1);
  Pair pair(world);
  pair.web.make<EchoService>(pair.web.loop(), pair.at);
  Client client(pair.user.loop(), pair.at);
  ASSERT_TRUE(world.run_until([&] { return client.connected(); }, 1s));
  world.run_for(1ms);
  pair.web.pause();
  client.stream->send("unread");
  world.run_for(1ms);
  pair.web.kill();
  ASSERT_TRUE(world.run_until([&] { return client.failure.has_value(); }, 1s));
  EXPECT_EQ(client.failure, ErrorCode::kReset);
}

TEST(Processes, MayDieInTheirOwnCallbackAndTakeTheirObjectsWithThem) {
  struct Suicidal : EchoService {
    Suicidal(Process& process, const SocketAddress& at, bool& gone_flag)
        : EchoService(process.loop(), at), self(process), gone(gone_flag) {}
    ~Suicidal() override { gone = true; }
    void on_data(Stream&, LentBytes) override {
      self.kill(Ending::kReset);
      EXPECT_FALSE(gone);  // not under its own feet
    }
    Process& self;
    bool& gone;
  };
  World world(1);
  Pair pair(world);
  bool gone = false;
  pair.web.make<Suicidal>(pair.web, pair.at, gone);
  Client client(pair.user.loop(), pair.at);
  client.stream->send("poison");
  ASSERT_TRUE(world.run_until([&] { return client.failure.has_value(); }, 1s));
  EXPECT_EQ(client.failure, ErrorCode::kReset);
  EXPECT_TRUE(gone);
  EXPECT_FALSE(pair.web.alive());
  Process& next = pair.b.start("web");
  next.make<EchoService>(next.loop(), pair.at);
  Client again(pair.user.loop(), pair.at);
  again.stream->send("hello");
  EXPECT_TRUE(world.run_until([&] { return again.received == "hello"; }, 1s));
}

TEST(Processes, OutOfDescriptorsLeaveTheNewestWorkInTheQueue) {
  World world(1);
  Pair pair(world);
  auto& service = pair.web.make<EchoService>(pair.web.loop(), pair.at);
  pair.web.set_streams_max(1);
  Client first(pair.user.loop(), pair.at);
  ASSERT_TRUE(world.run_until([&] { return first.connected(); }, 1s));
  world.run_for(1ms);
  Client second(pair.user.loop(), pair.at);
  second.stream->send("later");
  world.run_for(350ms);
  EXPECT_GE(service.exhausted, 3);
  first.stream->finish();
  EXPECT_TRUE(world.run_until([&] { return second.received == "later"; }, 1s));
}

TEST(Processes, SpawnWhatTheHostHasAndHearOfItsEnd) {
  World world(1);
  Pair pair(world);
  pair.a.install("/usr/bin/fence", [](const io::SpawnOptions& options) {
    ChildScript script;
    script.takes = 2s;
    script.exit.code = options.arguments.size() > 1 ? 0 : 1;
    return script;
  });
  std::vector<std::pair<int, io::ProcessExit>> ends;
  const auto note = [&](int pid, io::ProcessExit exit) { ends.emplace_back(pid, exit); };
  SimProcesses& children = pair.user.children();
  io::SpawnOptions options;
  options.arguments = {"/usr/bin/unknown"};
  EXPECT_EQ(children.spawn(options, note).error().code(), ErrorCode::kNotFound);
  options.arguments = {"/usr/bin/fence", "off"};
  const int first = *children.spawn(options, note);
  options.arguments = {"/usr/bin/fence"};
  const int second = *children.spawn(options, note);
  EXPECT_TRUE(children.signal(first, 9).has_value());
  EXPECT_EQ(children.signal(first, 9).error().code(), ErrorCode::kNotFound);
  world.run_for(1s);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].first, first);
  EXPECT_EQ(ends[0].second.signal, 9);
  world.run_for(1s + 1ms);
  ASSERT_EQ(ends.size(), 2u);
  EXPECT_EQ(ends[1].first, second);
  EXPECT_EQ(ends[1].second.code, 1);
}

TEST(Power, ACutIsSilentUntilTheHostIsBackAndAnswersWithResets) {
  World world(1);
  Pair pair(world);
  pair.web.make<EchoService>(pair.web.loop(), pair.at);
  Client client(pair.user.loop(), pair.at);
  ASSERT_TRUE(world.run_until([&] { return client.connected(); }, 1s));
  world.run_for(1ms);
  pair.b.power_cut();
  client.stream->send("anybody?");
  world.run_for(30s);
  EXPECT_EQ(client.failure, std::nullopt);
  EXPECT_FALSE(client.ended);
  pair.b.power_on();
  ASSERT_TRUE(world.run_until([&] { return client.failure.has_value(); }, 60s));
  EXPECT_EQ(client.failure, ErrorCode::kReset);
}

TEST(Power, UnansweredBytesTimeOutAfterLinuxsQuarterOfAnHour) {
  World world(1);
  Pair pair(world);
  pair.web.make<EchoService>(pair.web.loop(), pair.at);
  Client client(pair.user.loop(), pair.at);
  ASSERT_TRUE(world.run_until([&] { return client.connected(); }, 1s));
  world.run_for(1ms);
  const Instant begin = pair.user.loop().now();
  pair.b.power_cut();
  client.stream->send("anybody?");
  ASSERT_TRUE(world.run_until([&] { return client.failure.has_value(); }, 2000s));
  EXPECT_EQ(client.failure, ErrorCode::kTimeout);
  EXPECT_EQ(milliseconds_of(client.failed_at - begin) / 1000, 924);
}

TEST(Power, AfterACutAFileIsItsOldTextOrItsNewOne) {
  int old_ones = 0, new_ones = 0;
  for_each_seed(50, [&](std::uint64_t, World& world) {
    Host& host = world.add_host("a", {"10.0.0.1"});
    SimFiles& files = host.files();
    ASSERT_TRUE(files.replace("/etc/settled", "first", 0600).has_value());
    ASSERT_TRUE(files.replace("/etc/kept", "old", 0600).has_value());
    files.write_carelessly("/etc/torn", "0123456789");
    world.run_for(SimFiles::kCommit + 1s);
    ASSERT_TRUE(files.replace("/etc/kept", "new", 0600).has_value());
    files.write_carelessly("/etc/torn", "abcdefghij");
    host.power_cut();
    host.power_on();
    EXPECT_EQ(*files.read("/etc/settled"), "first");
    const std::string kept = *files.read("/etc/kept");
    EXPECT_TRUE(kept == "old" || kept == "new") << kept;
    (kept == "old" ? old_ones : new_ones) += 1;
    EXPECT_TRUE(std::string("abcdefghij").starts_with(*files.read("/etc/torn")));
    EXPECT_EQ(files.list("/etc")->size(), 3u);
    files.set_full(true);
    EXPECT_EQ(files.replace("/etc/kept", "x", 0600).error().code(), ErrorCode::kExhausted);
  });
  if (std::getenv("NINES_SIM_SEED") == nullptr) {
    EXPECT_GT(old_ones, 0);
    EXPECT_GT(new_ones, 0);
  }
}

TEST(Addresses, MoveToWhoeverAnnouncedThemLast) {
  World world(1);
  Pair pair(world);
  Host& c = world.add_host("c", {"10.0.0.3"});
  Process& other = c.start("web");
  const auto virtual_ip = *SocketAddress::parse("10.0.0.100:80");
  pair.web.make<EchoService>(pair.web.loop(), virtual_ip);
  other.make<EchoService>(other.loop(), virtual_ip);  // bound before the address is there
  pair.b.add_address("10.0.0.100");
  Client client(pair.user.loop(), virtual_ip);
  client.stream->send("one ");
  ASSERT_TRUE(world.run_until([&] { return client.received == "one "; }, 1s));
  pair.b.remove_address("10.0.0.100");
  c.add_address("10.0.0.100");
  client.stream->send("two");  // the new owner knows of no such connection
  ASSERT_TRUE(world.run_until([&] { return client.failure.has_value(); }, 1s));
  EXPECT_EQ(client.failure, ErrorCode::kReset);
  Client fresh(pair.user.loop(), virtual_ip);
  fresh.stream->send("three");
  ASSERT_TRUE(world.run_until([&] { return fresh.received == "three"; }, 1s));
}

TEST(Addresses, WithTwoOwnersEachSideOfAPartitionReachesItsOwn) {
  World world(1);
  Pair pair(world);
  Host& c = world.add_host("c", {"10.0.0.3"});
  Process& other = c.start("web");
  const auto virtual_ip = *SocketAddress::parse("10.0.0.100:80");
  pair.web.make<EchoService>(pair.web.loop(), virtual_ip);
  pair.b.add_address("10.0.0.100");
  c.add_address("10.0.0.100");  // announced last, with nobody listening
  Client refused(pair.user.loop(), virtual_ip);
  ASSERT_TRUE(world.run_until([&] { return refused.failure.has_value(); }, 1s));
  world.partition({&pair.a, &pair.b}, {&c});
  Client client(pair.user.loop(), virtual_ip);
  EXPECT_TRUE(world.run_until([&] { return client.connected(); }, 1s));
  EXPECT_EQ(other.loop().counters().accepted, 0u);
}

TEST(Datagrams, AreLostDuplicatedAndReorderedAsTheLinkSays) {
  World world(7);
  Link bad;
  bad.latency_max = 10ms;
  bad.loss = 0.2;
  bad.duplication = 0.2;
  world.set_default_link(bad);
  Pair pair(world);
  DatagramNote in, out;
  io::Datagram* const receiver = *pair.web.loop().open_datagram(pair.at, in);
  io::Datagram* const sender = *pair.user.loop().open_datagram(pair.a.address(0), out);
  constexpr int kCount = 1000;
  for (int i = 0; i < kCount; ++i) {
    sender->send_to(receiver->local(), std::to_string(1000 + i));
    world.run_for(100us);
  }
  world.run_for(1s);
  auto sorted = in.texts;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_NE(sorted, in.texts);
  const auto distinct =
      static_cast<int>(std::unique(sorted.begin(), sorted.end()) - sorted.begin());
  EXPECT_NEAR(distinct, kCount * 0.8, 60);
  EXPECT_GT(in.texts.size(), static_cast<std::size_t>(distinct) + 80);
}

TEST(Datagrams, MulticastReachesEveryHostThatIsNotCutOff) {
  World world(1);
  Pair pair(world);
  Host& c = world.add_host("c", {"10.0.0.3"});
  DatagramNote at_a, at_b, at_c;
  const auto group = *SocketAddress::parse("224.0.0.18:112");
  const auto any = *SocketAddress::parse("0.0.0.0:112");
  io::Datagram* const sender = *pair.user.loop().open_datagram(any, at_a);
  ASSERT_TRUE(pair.web.loop().open_datagram(any, at_b).has_value());
  ASSERT_TRUE(c.start("x").loop().open_datagram(any, at_c).has_value());
  world.cut(pair.a, c);
  sender->send_to(group, "advert");
  world.run_for(1s);
  EXPECT_EQ(at_a.texts.size(), 0u);
  EXPECT_EQ(at_b.texts, std::vector<std::string>{"advert"});
  EXPECT_EQ(at_c.texts.size(), 0u);
}

struct Ticker : Timer {
  Ticker(io::Loop& loop, Duration period) : loop_(loop), period_(period) {
    loop.arm(*this, period);
  }
  void on_timer(Instant) override {
    ++ticks;
    loop_.arm(*this, deadline_of_next());
  }
  Instant deadline_of_next() { return begin_ + period_ * (ticks + 1); }
  io::Loop& loop_;
  Duration period_;
  Instant begin_ = loop_.now();
  int ticks = 0;
};

TEST(Clocks, DriftMakesTimersEarlyOrLateAgainstTrueTime) {
  World world(1);
  Host& fast = world.add_host("fast", {"10.0.0.1"});
  Host& slow = world.add_host("slow", {"10.0.0.2"});
  fast.set_drift(+10'000);  // one per cent
  slow.set_drift(-10'000);
  Process& on_fast = fast.start("x");
  Process& on_slow = slow.start("x");
  auto& quick = on_fast.make<Ticker>(on_fast.loop(), 100ms);
  auto& lazy = on_slow.make<Ticker>(on_slow.loop(), 100ms);
  world.run_for(100s + 50ms);
  EXPECT_EQ(quick.ticks, 1010);
  EXPECT_EQ(lazy.ticks, 990);
  slow.set_drift(0);
  world.run_for(100s);
  EXPECT_EQ(lazy.ticks, 1990);
}

TEST(Clocks, OfTwoHostsHaveNothingInCommonAndWallClocksMayStep) {
  World world(1);
  Pair pair(world);
  EXPECT_NE(pair.user.loop().now(), pair.web.loop().now());
  const auto before = pair.user.loop().wall_time();
  const auto monotonic = pair.user.loop().now();
  pair.a.step_wall_clock(-3600s);
  world.run_for(10s);
  EXPECT_EQ(pair.user.loop().now() - monotonic, 10s);
  EXPECT_EQ(pair.user.loop().wall_time().seconds() - before.seconds(), 10 - 3600);
}

TEST(Clocks, AStoppedProcesssTimersFireOnceItGoesOn) {
  World world(1);
  Pair pair(world);
  auto& ticker = pair.user.make<Ticker>(pair.user.loop(), 100ms);
  world.run_for(1050ms);
  EXPECT_EQ(ticker.ticks, 10);
  pair.user.pause();
  world.run_for(10s);
  EXPECT_EQ(ticker.ticks, 10);
  pair.user.resume();
  world.run_for(200ms);
  EXPECT_EQ(ticker.ticks, 112);
}

// Everything at once, for its trace alone.
std::pair<std::string, std::uint64_t> busy_world(std::uint64_t seed) {
  World world(seed);
  Link bad;
  bad.latency_max = 5ms;
  bad.loss = 0.05;
  bad.duplication = 0.05;
  world.set_default_link(bad);
  Pair pair(world);
  pair.web.make<EchoService>(pair.web.loop(), pair.at);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    world.after(Duration(static_cast<std::int64_t>(world.rng().below(2'000'000'000))), [&] {
      clients.push_back(std::make_unique<Client>(pair.user.loop(), pair.at));
      clients.back()->stream->send(numbers(world.rng().below(100'000)));
    });
  }
  world.after(1s, [&] { world.cut(pair.a, pair.b); });
  world.after(1400ms, [&] { world.heal_all(); });
  world.after(1800ms, [&] { pair.web.kill(Ending::kReset); });
  world.run_for(5s);
  pair.user.log().write(io::Severity::kNotice, "done", {{"clients", "20"}});
  return {world.trace_text(), world.fingerprint()};
}

TEST(Determinism, TheSameSeedGivesTheSameStoryToTheByte) {
  const auto one = busy_world(11);
  const auto two = busy_world(11);
  EXPECT_EQ(one.first, two.first);
  EXPECT_EQ(one.second, two.second);
  EXPECT_NE(one.first.find("cut off towards b"), std::string::npos);
  EXPECT_NE(one.first.find("a/user: notice: done clients=20"), std::string::npos);
}

TEST(Determinism, AnotherSeedTellsAnotherStory) {
  EXPECT_NE(busy_world(11).second, busy_world(12).second);
  EXPECT_NE(busy_world(11).first, busy_world(12).first);
}

}  // namespace
}  // namespace nines::sim
