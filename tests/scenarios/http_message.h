// HTTP as a naive reader sees it: the oracle of the scenarios shares no line with the proxy's own
// codec, so that one mistake is not made on both sides.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace nines::scenarios {

// What a client wants of the servers behind the proxy; it travels in the request's target, so that
// any server knows what to do, and every answer can be checked byte by byte.
struct Ask {
  std::uint64_t id = 0;  // unique in a world
  std::string method = "GET";
  std::size_t upload = 0;       // bytes of the request's body
  bool upload_chunked = false;  // its framing
  std::size_t size = 64;        // bytes of the answer's body
  enum class Framing : std::uint8_t { kLength, kChunked, kClose } framing = Framing::kLength;
  int delay_ms = 0;        // before the answer
  int interims = 0;        // 103 answers in front of it
  int dies_before = 0;     // so many arrivals end with a broken connection instead of an answer
  int dies_in_middle = 0;  // so many arrivals end with half of one
  bool server_closes = false;
  bool client_closes = false;
  bool http10 = false;
  bool token = false;  // asked for where keystone gives tokens out

  std::string target() const;
  static Ask parse(std::string_view target);  // id 0: none of ours
  bool idempotent() const { return method != "POST"; }
};

// The bytes of a body: told from those of any other id at nearly each place.
char body_byte(std::uint64_t id, std::size_t offset);
std::string body_bytes(std::uint64_t id, std::size_t offset, std::size_t size);
bool is_body(std::uint64_t id, std::string_view body);

struct Message {
  std::string start_line;
  std::map<std::string, std::string> fields;  // names in lower case
  std::string body;
  int status() const;
  std::string field(const std::string& name) const;  // empty: absent
  std::string word(int number) const;                // of the start line
};

class MessageReader {
 public:
  enum class Side : std::uint8_t { kRequests, kResponses };
  explicit MessageReader(Side side) : side_(side) {}

  void feed(std::string_view bytes) { in_.append(bytes); }
  // Goes on with the current message; true when it is whole: take it.
  bool advance(bool answers_head);
  // The peer has finished: true when that completes a body which lasts until then.
  bool finish();
  Message take();
  bool head_done() const { return head_done_; }
  const Message& current() const { return message_; }
  bool begun() const { return head_done_ || !in_.empty(); }
  bool bad() const { return bad_; }

 private:
  bool read_head(bool answers_head);
  bool read_chunks();

  Side side_;
  std::string in_;
  Message message_;
  bool head_done_ = false;
  bool bad_ = false;
  enum class Framing : std::uint8_t { kLength, kChunked, kClose } framing_ = Framing::kLength;
  std::size_t remaining_ = 0;
};

}  // namespace nines::scenarios
