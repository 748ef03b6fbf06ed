// What a datagram costs: sealing, opening, and turning strangers away.
#include <string>

#include <benchmark/benchmark.h>

#include "cluster/seal_model.h"

namespace nines::cluster {
namespace {

struct Pair {
  Sealer a = sealer_of(1, 1), b = sealer_of(2, 1);
  Pair() { b.open(a.open(b.open(a.hello(2)).answer).answer); }
};

void BM_Seal(benchmark::State& state) {
  Pair pair;
  const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(pair.a.seal(2, payload));
}
void BM_SealAndOpen(benchmark::State& state) {
  Pair pair;
  const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(pair.b.open(*pair.a.seal(2, payload)));
}
void BM_RefuseForged(benchmark::State& state) {
  Pair pair;
  std::string forged = *pair.a.seal(2, std::string(100, 'x'));
  forged.back() ^= 1;
  for (auto _ : state) benchmark::DoNotOptimize(pair.b.open(forged));
}
// A key is derived for it, and an answer is sealed.
void BM_HelloOfAnUnknownLife(benchmark::State& state) {
  Pair pair;
  Sealer other = sealer_of(1, 2);
  const std::string hello = other.hello(2);
  for (auto _ : state) benchmark::DoNotOptimize(pair.b.open(hello));
}

BENCHMARK(BM_Seal)->Arg(100)->Arg(1200);
BENCHMARK(BM_SealAndOpen)->Arg(100)->Arg(1200);
BENCHMARK(BM_RefuseForged);
BENCHMARK(BM_HelloOfAnUnknownLife);

}  // namespace
}  // namespace nines::cluster

BENCHMARK_MAIN();
