// Edits to a message's head, collected first and then carried out in one pass: in place within the
// buffer that it was read into, or while it is written to another one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"

namespace nines::http {

inline constexpr std::uint32_t kAppendsMax = 48;

// Edits of one head. Borrows the head, the bytes it was parsed from, and every text given to it,
// until they are carried out; a text must not lie within those bytes. Construction and an editor
// without edits cost nothing; the object is big (every field may be edited) and wants no zeroing.
//
// Later edits see earlier ones: of several edits of one field the last one counts, and removing a
// name removes what was appended under it. Texts are written as they are: whoever builds one from
// outside data keeps line ends out of it.
class HeadEditor {
 public:
  // `base` is the first byte that was parsed.
  HeadEditor(const MessageHead& head, const char* base) : head_(head), base_(base) {}
  HeadEditor(const HeadEditor&) = delete;
  HeadEditor& operator=(const HeadEditor&) = delete;

  void remove(const Field& field);  // one of head.fields; twice is as good as once
  void remove_all(FieldName name);  // not kOther
  void remove_all(std::string_view name);
  void replace_value(const Field& field, std::string_view value);
  // Adds a line behind the last one. False when kAppendsMax are there already: nothing was added.
  [[nodiscard]] bool append(std::string_view name, std::string_view value);
  // Removes all of that name, then appends.
  [[nodiscard]] bool set(std::string_view name, std::string_view value);
  void replace_start_line(std::string_view line);  // without CRLF
  // Replaces a part of the start line: method_text, target or reason, or a slice of one's own that
  // overlaps no other part replaced here. Not after replace_start_line().
  void replace_in_start_line(Slice part, std::string_view text);

  bool empty() const { return edit_count_ == 0 && append_count_ == 0; }
  // The edited head's size in bytes, without the empty lines that came before it.
  std::size_t size() const;

  struct Edited {
    char* data = nullptr;  // the head's first byte; empty lines in front of it are dropped
    std::size_t size = 0;
  };
  // Carries the edits out where the bytes are: `base` is the head's buffer (the one given above),
  // [room, base) may be written too. What follows the head stays where it is, so the head grows
  // towards the front. False when the room does not suffice: nothing was touched.
  [[nodiscard]] bool apply(char* room, char* base, Edited& out) const;

  // Writes the edited head behind what `out` holds.
  void render(std::string& out) const;
  // The same into a buffer of at least size() bytes; answers one past the last byte written.
  char* render(char* out) const;

 private:
  // `removed` bytes at `offset` give way to the text. Kept in the order of their place; no two
  // overlap. No default values: the arrays stay raw until they are used.
  struct Edit {
    std::uint32_t offset;
    std::uint32_t removed;
    const char* text;
    std::size_t text_size;

    std::uint32_t end() const { return offset + removed; }
  };
  struct Append {
    const char* name;
    std::size_t name_size;
    const char* value;
    std::size_t value_size;

    std::size_t size() const { return name_size + value_size + 4; }  // ": " and CRLF
  };
  static constexpr std::size_t kEditsMax = kFieldsMax + 3;  // method, target and version

  void put(Slice part, std::string_view text);
  void forget_within(Slice part);
  template <typename HasName>
  void forget_appends(const HasName& has_name);
  std::uint32_t body_of_head() const { return head_.size - 2; }  // all but the empty line
  char* render_appends(char* out) const;

  const MessageHead& head_;
  const char* const base_;
  std::uint32_t edit_count_ = 0;
  std::uint32_t append_count_ = 0;
  bool start_line_replaced_ = false;
  std::array<Edit, kEditsMax> edits_;
  std::array<Append, kAppendsMax> appends_;
};

}  // namespace nines::http
