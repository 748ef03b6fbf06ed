// Slow, small and obvious.
#include "http_message.h"

#include <cctype>
#include <cstdlib>

namespace nines::scenarios {
namespace {

std::string lower(std::string text) {
  for (char& letter : text) letter = static_cast<char>(std::tolower(letter));
  return text;
}

}  // namespace

std::string Ask::target() const {
  std::string text = "/" + std::to_string(id) + (token ? "/v3/auth/tokens" : "") + "?";
  const auto add = [&text](const char* name, std::size_t value) {
    if (value != 0) text += std::string(name) + "=" + std::to_string(value) + "&";
  };
  add("size", size);
  add("framing", static_cast<std::size_t>(framing));
  add("delay", static_cast<std::size_t>(delay_ms));
  add("interims", static_cast<std::size_t>(interims));
  add("before", static_cast<std::size_t>(dies_before));
  add("middle", static_cast<std::size_t>(dies_in_middle));
  add("closes", server_closes ? 1 : 0);
  add("upload", upload);
  text.pop_back();
  return text;
}

Ask Ask::parse(std::string_view target) {
  Ask ask;
  ask.size = 0;
  const std::string text(target);
  ask.id = std::strtoull(text.c_str() + 1, nullptr, 10);
  std::size_t at = text.find('?');
  ask.token = text.substr(0, at).ends_with("/v3/auth/tokens");
  while (at != std::string::npos && at + 1 < text.size()) {
    const std::size_t equals = text.find('=', at);
    const std::string name = text.substr(at + 1, equals - at - 1);
    const auto value = std::strtoull(text.c_str() + equals + 1, nullptr, 10);
    if (name == "size") ask.size = value;
    if (name == "framing") ask.framing = static_cast<Framing>(value);
    if (name == "delay") ask.delay_ms = static_cast<int>(value);
    if (name == "interims") ask.interims = static_cast<int>(value);
    if (name == "before") ask.dies_before = static_cast<int>(value);
    if (name == "middle") ask.dies_in_middle = static_cast<int>(value);
    if (name == "closes") ask.server_closes = value != 0;
    if (name == "upload") ask.upload = value;
    at = text.find('&', at + 1);
  }
  return ask;
}

char body_byte(std::uint64_t id, std::size_t offset) {
  return static_cast<char>('A' + (id * 7 + offset * 13 + (offset >> 8) * 5) % 58);
}

std::string body_bytes(std::uint64_t id, std::size_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = body_byte(id, offset + i);
  return bytes;
}

bool is_body(std::uint64_t id, std::string_view body) {
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] != body_byte(id, i)) return false;
  }
  return true;
}

int Message::status() const { return std::atoi(word(1).c_str()); }

std::string Message::field(const std::string& name) const {
  const auto found = fields.find(name);
  return found != fields.end() ? found->second : std::string();
}

std::string Message::word(int number) const {
  std::size_t at = 0;
  for (int i = 0; i < number && at != std::string::npos; ++i) at = start_line.find(' ', at + 1);
  if (at == std::string::npos) return {};
  if (number > 0) ++at;
  return start_line.substr(at, start_line.find(' ', at) - at);
}

bool MessageReader::advance(bool answers_head) {
  if (bad_) return false;
  if (!head_done_ && !read_head(answers_head)) return false;
  switch (framing_) {
    case Framing::kLength: {
      const std::size_t count = std::min(remaining_, in_.size());
      message_.body.append(in_, 0, count);
      in_.erase(0, count);
      remaining_ -= count;
      return remaining_ == 0;
    }
    case Framing::kChunked:
      return read_chunks();
    case Framing::kClose:
      message_.body += in_;
      in_.clear();
      return false;
  }
  return false;
}

bool MessageReader::read_head(bool answers_head) {
  const std::size_t end = in_.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  std::size_t at = in_.find("\r\n");
  message_ = {};
  message_.start_line = in_.substr(0, at);
  while (at < end) {
    const std::size_t next = in_.find("\r\n", at + 2);
    const std::string line = in_.substr(at + 2, next - at - 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) {
      bad_ = true;
      return false;
    }
    const std::size_t value = line.find_first_not_of(' ', colon + 1);
    message_.fields[lower(line.substr(0, colon))] =
        value == std::string::npos ? std::string() : line.substr(value);
    at = next;
  }
  in_.erase(0, end + 4);
  head_done_ = true;
  remaining_ = 0;
  const int status = message_.status();
  const bool response = side_ == Side::kResponses;
  if (response && (answers_head || status < 200 || status == 204 || status == 304)) {
    framing_ = Framing::kLength;
  } else if (lower(message_.field("transfer-encoding")) == "chunked") {
    framing_ = Framing::kChunked;
  } else if (!message_.field("content-length").empty() || !response) {
    framing_ = Framing::kLength;
    remaining_ = std::strtoull(message_.field("content-length").c_str(), nullptr, 10);
  } else {
    framing_ = Framing::kClose;
  }
  return true;
}

bool MessageReader::read_chunks() {
  while (true) {
    if (remaining_ > 0) {  // with the line end behind the data
      const std::size_t count = std::min(remaining_, in_.size());
      const std::size_t data = remaining_ > 2 ? std::min(count, remaining_ - 2) : 0;
      message_.body.append(in_, 0, data);
      in_.erase(0, count);
      remaining_ -= count;
      if (remaining_ > 0) return false;
    }
    const std::size_t line = in_.find("\r\n");
    if (line == std::string::npos) return false;
    const std::size_t size = std::strtoull(in_.c_str(), nullptr, 16);
    if (size > 0) {
      in_.erase(0, line + 2);
      remaining_ = size + 2;
      continue;
    }
    if (in_.size() < line + 4) return false;  // no trailers here: the empty line follows
    bad_ = in_.compare(line, 4, "\r\n\r\n") != 0;
    in_.erase(0, line + 4);
    return !bad_;
  }
}

bool MessageReader::finish() { return head_done_ && framing_ == Framing::kClose; }

Message MessageReader::take() {
  head_done_ = false;
  Message whole;
  std::swap(whole, message_);
  return whole;
}

}  // namespace nines::scenarios
