// What a head costs: parsing, editing in place, writing elsewhere.
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "http/chunked.h"
#include "http/edit.h"
#include "http/message.h"

namespace nines::http {
namespace {

const std::string kRequest =  // 150 bytes
    "GET /v3/auth/tokens HTTP/1.1\r\nHost: 192.0.2.40:5000\r\n"
    "User-Agent: python-keystoneclient\r\nAccept: application/json\r\n"
    "X-Subject-Token: 0123456789abc\r\n\r\n";
const std::string kBrowser =
    "GET /project/instances/?marker=5f3a&sort=name HTTP/1.1\r\nHost: cloud.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Referer: https://cloud.example.org/project/\r\nDNT: 1\r\nConnection: keep-alive\r\n"
    "Cookie: csrftoken=0123456789abcdef0123456789abcdef; sessionid=fedcba9876543210\r\n"
    "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nPragma: no-cache\r\n\r\n";
const std::string kResponse =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 110\r\n"
    "Date: Tue, 01 Jul 2025 10:00:00 GMT\r\nServer: Apache\r\n\r\n";

void parse_request_of(benchmark::State& state, const std::string& text) {
  const auto head = std::make_unique<RequestHead>();
  const Limits limits;
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_request(text, limits, *head));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
void BM_ParseRequest(benchmark::State& state) { parse_request_of(state, kRequest); }
void BM_ParseBrowserRequest(benchmark::State& state) { parse_request_of(state, kBrowser); }
BENCHMARK(BM_ParseRequest);
BENCHMARK(BM_ParseBrowserRequest);

void BM_ParseResponse(benchmark::State& state) {
  const auto head = std::make_unique<ResponseHead>();
  const Limits limits;
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_response(kResponse, limits, Method::kGet, *head));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_ParseResponse);

void BM_RenderWithForwardedFor(benchmark::State& state) {
  const auto head = std::make_unique<RequestHead>();
  static_cast<void>(parse_request(kRequest, Limits{}, *head));
  std::string out;
  for (auto _ : state) {
    HeadEditor editor(*head, kRequest.data());
    editor.remove_all(FieldName::kXForwardedProto);
    benchmark::DoNotOptimize(editor.append("X-Forwarded-For", "192.0.2.99"));
    out.clear();
    editor.render(out);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_RenderWithForwardedFor);

void BM_ApplyForwardedForInPlace(benchmark::State& state) {
  const auto head = std::make_unique<RequestHead>();
  static_cast<void>(parse_request(kRequest, Limits{}, *head));
  const std::string fresh = std::string(512, '#') + kRequest;
  std::string buffer = fresh;
  for (auto _ : state) {
    HeadEditor editor(*head, buffer.data() + 512);
    benchmark::DoNotOptimize(editor.append("X-Forwarded-For", "192.0.2.99"));
    HeadEditor::Edited edited;
    benchmark::DoNotOptimize(editor.apply(buffer.data(), buffer.data() + 512, edited));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_ApplyForwardedForInPlace);

void BM_ScanChunks(benchmark::State& state) {
  std::string body;
  for (int i = 0; i < 16; ++i) body += "1000\r\n" + std::string(4096, 'x') + "\r\n";
  body += "0\r\n\r\n";
  for (auto _ : state) benchmark::DoNotOptimize(ChunkScanner().feed(body));
}
BENCHMARK(BM_ScanChunks);

}  // namespace
}  // namespace nines::http

BENCHMARK_MAIN();
