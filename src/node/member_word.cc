// The kind, then the member, then what it says, with a blank between.
#include "node/member_word.h"

#include <algorithm>
#include <charconv>

namespace nines::node {
namespace {

constexpr std::string_view kNoVariable = "-";
constexpr std::string_view kUnspeakable = "?";

bool is_plain(std::string_view word) {
  return !word.empty() && word.size() <= kMemberWordMax &&
         std::all_of(word.begin(), word.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-';
         });
}

std::string spoken(std::string_view word) {
  if (word.empty()) return std::string(kNoVariable);
  return std::string(is_plain(word) && word != kNoVariable ? word : kUnspeakable);
}

// Nothing: it is none.
Result<std::string> heard(std::string_view word) {
  if (word == kNoVariable) return std::string();
  if (word != kUnspeakable && !is_plain(word)) {
    return Error(ErrorCode::kInvalid, "no word of a member");
  }
  return std::string(word);
}

std::string_view take_field(std::string_view& text) {
  const std::string_view field = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(field.size() + 1, text.size()));
  return field;
}

Result<SocketAddress> parse_member(std::string_view text) {
  SocketAddress member = TRY(SocketAddress::parse(text));
  if (member.is_ip()) return member;
  return Error(ErrorCode::kInvalid, "no address of a member");
}

}  // namespace

std::string encode(const MemberWord& word) {
  switch (word.kind) {
    case MemberWord::Kind::kSays:
      return "says " + word.member.text() + ' ' + std::to_string(word.asked.nanoseconds) + ' ' +
             spoken(word.ready) + ' ' + spoken(word.local_state) + ' ' +
             spoken(word.cluster_status);
    case MemberWord::Kind::kDoubt:
      return "doubt " + word.member.text();
    case MemberWord::Kind::kGone:
      break;
  }
  return "gone";
}

Result<MemberWord> parse_member_word(std::string_view text) {
  MemberWord word;
  const std::string_view kind = take_field(text);
  if (kind == "says") {
    word.kind = MemberWord::Kind::kSays;
    word.member = TRY(parse_member(take_field(text)));
    const std::string_view asked = take_field(text);
    const char* const end = asked.data() + asked.size();
    const auto parsed = std::from_chars(asked.data(), end, word.asked.nanoseconds);
    if (parsed.ec != std::errc() || parsed.ptr != end || word.asked <= Instant{}) {
      return Error(ErrorCode::kInvalid, "no instant of a look");
    }
    word.ready = TRY(heard(take_field(text)));
    word.local_state = TRY(heard(take_field(text)));
    word.cluster_status = TRY(heard(take_field(text)));
  } else if (kind == "doubt") {
    word.kind = MemberWord::Kind::kDoubt;
    word.member = TRY(parse_member(take_field(text)));
  } else if (kind != "gone") {
    return Error(ErrorCode::kInvalid, "no word of a manager");
  }
  if (!text.empty()) return Error(ErrorCode::kInvalid, "more than a word of a manager");
  return word;
}

}  // namespace nines::node
