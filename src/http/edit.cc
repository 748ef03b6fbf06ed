// Kept pieces of the head slide towards the front or the back of the buffer, then the new texts
// fill the gaps between them.
#include "http/edit.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "http/syntax.h"

namespace nines::http {
namespace {

char* write(char* out, const char* text, std::size_t size) {
  if (size != 0) std::memcpy(out, text, size);
  return out + size;
}

}  // namespace

void HeadEditor::remove(const Field& field) { put(field.line, {}); }

void HeadEditor::remove_all(FieldName name) {
  CHECK(name != FieldName::kOther);
  if (head_.has(name)) {
    for (const Field& field : head_) {
      if (field.known == name) remove(field);
    }
  }
  forget_appends([name](std::string_view appended) { return find_field_name(appended) == name; });
}

void HeadEditor::remove_all(std::string_view name) {
  if (const FieldName known = find_field_name(name); known != FieldName::kOther) {
    remove_all(known);
    return;
  }
  const auto has_name = [name](std::string_view other) { return equal_ignoring_case(other, name); };
  for (const Field& field : head_) {
    if (field.known == FieldName::kOther && has_name(field.name.in(base_))) remove(field);
  }
  forget_appends(has_name);
}

template <typename HasName>
void HeadEditor::forget_appends(const HasName& has_name) {
  Append* const begin = appends_.data();
  Append* const kept = std::remove_if(begin, begin + append_count_, [&](const Append& append) {
    return has_name(std::string_view(append.name, append.name_size));
  });
  append_count_ = static_cast<std::uint32_t>(kept - begin);
}

void HeadEditor::replace_value(const Field& field, std::string_view value) {
  forget_within(field.line);
  put(field.value, value);
}

bool HeadEditor::append(std::string_view name, std::string_view value) {
  if (append_count_ == kAppendsMax) return false;
  appends_[append_count_++] = {name.data(), name.size(), value.data(), value.size()};
  return true;
}

bool HeadEditor::set(std::string_view name, std::string_view value) {
  remove_all(name);
  return append(name, value);
}

void HeadEditor::replace_start_line(std::string_view line) {
  put(head_.start_line, line);
  start_line_replaced_ = true;
}

void HeadEditor::replace_in_start_line(Slice part, std::string_view text) {
  CHECK(!start_line_replaced_);
  put(part, text);
}

void HeadEditor::forget_within(Slice part) {
  // An empty part (a reason that is not there) is a place that one edit may have.
  const std::uint32_t end_of_part = part.offset + std::max(part.size, 1u);
  const auto within = [part, end_of_part](const Edit& edit) {
    return edit.offset >= part.offset && edit.offset < end_of_part;
  };
  Edit* const end = edits_.data() + edit_count_;
  edit_count_ =
      static_cast<std::uint32_t>(std::remove_if(edits_.data(), end, within) - edits_.data());
}

// Edits come mostly in the order of the fields, so the search from behind is short.
void HeadEditor::put(Slice part, std::string_view text) {
  forget_within(part);
  CHECK(edit_count_ < kEditsMax);
  std::uint32_t at = edit_count_;
  for (; at > 0 && edits_[at - 1].offset > part.offset; --at) edits_[at] = edits_[at - 1];
  edits_[at] = {part.offset, part.size, text.data(), text.size()};
  ++edit_count_;
}

std::size_t HeadEditor::size() const {
  std::size_t size = head_.size - head_.leading;
  for (std::uint32_t i = 0; i < edit_count_; ++i) {
    size += edits_[i].text_size;
    size -= edits_[i].removed;
  }
  for (std::uint32_t i = 0; i < append_count_; ++i) size += appends_[i].size();
  return size;
}

char* HeadEditor::render_appends(char* out) const {
  for (std::uint32_t i = 0; i < append_count_; ++i) {
    const Append& append = appends_[i];
    out = write(out, append.name, append.name_size);
    out = write(out, ": ", 2);
    out = write(out, append.value, append.value_size);
    out = write(out, "\r\n", 2);
  }
  return out;
}

// Pieces keep their order, so one that moves to the front can only land on the old place of pieces
// before it that move to the front as well, and the same holds behind. Hence front-movers go first
// to last, back-movers last to first, and neither disturbs the other.
bool HeadEditor::apply(char* room, char* base, Edited& out) const {
  if (empty()) {
    out = {base + head_.leading, head_.size - head_.leading};
    return true;
  }
  const std::size_t new_size = size();
  char* const end = base + head_.size;
  if (static_cast<std::size_t>(end - room) < new_size) return false;
  char* const data = end - new_size;

  char* to = data;
  std::uint32_t from = head_.leading;
  for (std::uint32_t i = 0; i <= edit_count_; ++i) {
    const std::uint32_t piece_end = i < edit_count_ ? edits_[i].offset : body_of_head();
    const std::uint32_t piece = piece_end - from;
    if (to < base + from) std::memmove(to, base + from, piece);
    to += piece;
    if (i == edit_count_) break;
    to += edits_[i].text_size;
    from = edits_[i].end();
  }
  char* const appends = to;

  for (std::uint32_t i = edit_count_ + 1; i-- > 0;) {
    const std::uint32_t piece_end = i < edit_count_ ? edits_[i].offset : body_of_head();
    const std::uint32_t piece_begin = i > 0 ? edits_[i - 1].end() : head_.leading;
    to -= piece_end - piece_begin;
    if (to > base + piece_begin) std::memmove(to, base + piece_begin, piece_end - piece_begin);
    if (i > 0) {
      to -= edits_[i - 1].text_size;
      write(to, edits_[i - 1].text, edits_[i - 1].text_size);
    }
  }
  render_appends(appends);
  out = {data, new_size};
  return true;
}

char* HeadEditor::render(char* out) const {
  std::uint32_t from = head_.leading;
  for (std::uint32_t i = 0; i < edit_count_; ++i) {
    const Edit& edit = edits_[i];
    out = write(out, base_ + from, edit.offset - from);
    out = write(out, edit.text, edit.text_size);
    from = edit.end();
  }
  out = write(out, base_ + from, body_of_head() - from);
  out = render_appends(out);
  return write(out, "\r\n", 2);
}

void HeadEditor::render(std::string& out) const {
  const std::size_t before = out.size();
  out.resize(before + size());
  render(out.data() + before);
}

}  // namespace nines::http
