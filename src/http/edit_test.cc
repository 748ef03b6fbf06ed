// Edits in place and while writing, against edits of a plain list of lines.
#include "http/edit.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "http/syntax.h"

namespace nines::http {
namespace {

constexpr std::string_view kRequest =
    "GET /a HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nCookie: c\r\nX-One: 2\r\n\r\n";

// A head in a buffer with room in front and a body behind, and an editor for it.
class Workbench {
 public:
  explicit Workbench(std::string_view message, std::size_t headroom = 512,
                     std::string_view body = "BODY")
      : headroom_(headroom),
        body_(body),
        buffer_(std::string(headroom, '#').append(message).append(body)),
        head_(std::make_unique<RequestHead>()) {
    EXPECT_EQ(parse_request(message_bytes(), Limits{}, *head_).status, Parse::kComplete);
    editor_ = std::make_unique<HeadEditor>(*head_, buffer_.data() + headroom_);
  }

  HeadEditor& editor() { return *editor_; }
  const RequestHead& head() const { return *head_; }
  const Field& field(std::size_t index) const { return head_->fields[index]; }

  std::string rendered() const {
    std::string out;
    editor_->render(out);
    EXPECT_EQ(out.size(), editor_->size());
    return out;
  }
  // The head after apply(), or "no room". Checks that the body stayed where it was.
  std::string applied() {
    HeadEditor::Edited edited;
    const std::string before = buffer_;
    char* const base = buffer_.data() + headroom_;
    if (!editor_->apply(buffer_.data(), base, edited)) {
      EXPECT_EQ(buffer_, before);
      return "no room";
    }
    EXPECT_EQ(edited.data + edited.size, base + head_->size);
    EXPECT_EQ(std::string_view(buffer_).substr(headroom_ + head_->size), body_);
    return {edited.data, edited.size};
  }

 private:
  std::string_view message_bytes() const { return std::string_view(buffer_).substr(headroom_); }

  std::size_t headroom_;
  std::string body_;
  std::string buffer_;
  std::unique_ptr<RequestHead> head_;
  std::unique_ptr<HeadEditor> editor_;
};

TEST(HeadEditor, WithoutEditsNothingMoves) {
  Workbench bench(kRequest, 0);
  EXPECT_TRUE(bench.editor().empty());
  EXPECT_EQ(bench.rendered(), kRequest);
  EXPECT_EQ(bench.applied(), kRequest);
}

TEST(HeadEditor, FieldIsAppendedBehindTheLastOne) {
  Workbench bench(kRequest);
  ASSERT_TRUE(bench.editor().append("X-Forwarded-For", "10.0.0.1"));
  const std::string expected =
      "GET /a HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nCookie: c\r\nX-One: 2\r\n"
      "X-Forwarded-For: 10.0.0.1\r\n\r\n";
  EXPECT_EQ(bench.rendered(), expected);
  EXPECT_EQ(bench.applied(), expected);
}

TEST(HeadEditor, AllLinesOfANameAreRemoved) {
  Workbench bench(kRequest);
  bench.editor().remove_all("x-ONE");
  const std::string expected = "GET /a HTTP/1.1\r\nHost: a\r\nCookie: c\r\n\r\n";
  EXPECT_EQ(bench.rendered(), expected);
  EXPECT_EQ(bench.applied(), expected);
}

TEST(HeadEditor, KnownNamesAreRemovedToo) {
  Workbench bench(kRequest);
  bench.editor().remove_all(FieldName::kCookie);
  bench.editor().remove_all(FieldName::kUpgrade);
  EXPECT_EQ(bench.applied(), "GET /a HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-One: 2\r\n\r\n");
}

TEST(HeadEditor, SetReplacesWhatWasThereAndWhatWasSetBefore) {
  Workbench bench(kRequest);
  ASSERT_TRUE(bench.editor().set("X-One", "first"));
  ASSERT_TRUE(bench.editor().set("x-one", "second"));
  EXPECT_EQ(bench.applied(), "GET /a HTTP/1.1\r\nHost: a\r\nCookie: c\r\nx-one: second\r\n\r\n");
}

TEST(HeadEditor, LastEditOfAFieldCounts) {
  Workbench bench(kRequest);
  bench.editor().remove(bench.field(0));
  bench.editor().remove(bench.field(0));
  bench.editor().replace_value(bench.field(0), "other.example");
  bench.editor().replace_value(bench.field(1), "x");
  bench.editor().remove(bench.field(1));
  EXPECT_EQ(bench.applied(),
            "GET /a HTTP/1.1\r\nHost: other.example\r\nCookie: c\r\nX-One: 2\r\n\r\n");
}

TEST(HeadEditor, EmptyValueCanBeReplaced) {
  Workbench bench("GET / HTTP/1.0\r\nX:\r\nY: \r\n\r\n");
  bench.editor().replace_value(bench.field(0), "1");
  bench.editor().replace_value(bench.field(1), "2");
  EXPECT_EQ(bench.applied(), "GET / HTTP/1.0\r\nX:1\r\nY: 2\r\n\r\n");
}

TEST(HeadEditor, StartLineIsReplacedWholeOrInPart) {
  Workbench whole(kRequest);
  whole.editor().replace_start_line("POST /longer/path HTTP/1.1");
  EXPECT_TRUE(whole.applied().starts_with("POST /longer/path HTTP/1.1\r\nHost: a\r\n"));
  Workbench part(kRequest);
  part.editor().replace_in_start_line(part.head().target, "/b?c");
  part.editor().replace_in_start_line(part.head().method_text, "OPTIONS");
  EXPECT_TRUE(part.applied().starts_with("OPTIONS /b?c HTTP/1.1\r\nHost: a\r\n"));
  Workbench both(kRequest);
  both.editor().replace_in_start_line(both.head().target, "/b?c");
  both.editor().replace_start_line("X / HTTP/1.1");
  EXPECT_TRUE(both.applied().starts_with("X / HTTP/1.1\r\nHost: a\r\n"));
}

TEST(HeadEditor, ReasonThatIsNotThereCanBeSetMoreThanOnce) {
  const std::string bytes = "HTTP/1.1 200 \r\nServer: a\r\n\r\n";
  const auto head = std::make_unique<ResponseHead>();
  ASSERT_EQ(parse_response(bytes, Limits{}, Method::kGet, *head).status, Parse::kComplete);
  HeadEditor editor(*head, bytes.data());
  editor.replace_in_start_line(head->reason, "Fine");
  editor.replace_in_start_line(head->reason, "OK");
  editor.remove_all(FieldName::kServer);
  std::string out;
  editor.render(out);
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\n\r\n");
}

TEST(HeadEditor, EmptyLinesInFrontAreDroppedAndGiveRoom) {
  Workbench bench("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
  bench.editor().replace_value(bench.field(0), "abcde");
  EXPECT_EQ(bench.applied(), "GET / HTTP/1.1\r\nHost: abcde\r\n\r\n");
}

TEST(HeadEditor, WithoutRoomNothingIsTouched) {
  Workbench exact(kRequest, 8);
  ASSERT_TRUE(exact.editor().append("X-A", "1"));
  EXPECT_NE(exact.applied(), "no room");
  Workbench short_of(kRequest, 7);
  ASSERT_TRUE(short_of.editor().append("X-A", "1"));
  EXPECT_EQ(short_of.applied(), "no room");
}

TEST(HeadEditor, RemovalMakesRoomForWhatIsAppended) {
  Workbench bench(kRequest, 0);
  ASSERT_TRUE(bench.editor().set("X-One", "0123456789"));
  EXPECT_EQ(bench.applied(),
            "GET /a HTTP/1.1\r\nHost: a\r\nCookie: c\r\nX-One: 0123456789\r\n\r\n");
}

TEST(HeadEditor, AppendsHaveALimitAndEveryFieldCanBeEdited) {
  std::string message = "GET / HTTP/1.0\r\n";
  for (int i = 0; i < 100; ++i) message += i % 2 != 0 ? "X: 1\r\n" : "Y: 1\r\n";
  message += "\r\n";
  Workbench bench(message, 4096);
  for (std::uint32_t i = 0; i < kAppendsMax; ++i) {
    ASSERT_TRUE(bench.editor().append("A", "b"));
  }
  EXPECT_FALSE(bench.editor().append("A", "b"));
  bench.editor().replace_start_line("GET /other HTTP/1.0");
  for (const Field& field : bench.head()) bench.editor().replace_value(field, "22");
  bench.editor().remove_all("X");
  const std::string rendered = bench.rendered();
  EXPECT_EQ(bench.applied(), rendered);
  EXPECT_EQ(rendered.find("X: "), std::string::npos);
  EXPECT_EQ(std::count(rendered.begin(), rendered.end(), 'Y'), 50);
}

// The oracle: a start line and a list of lines.
struct Model {
  struct Line {
    std::string name;
    std::string value;
    int field;  // -1: appended
  };
  std::string start = "PUT /x HTTP/1.1";
  std::vector<Line> lines;
  std::vector<Line> original;

  void remove(int field) {
    std::erase_if(lines, [field](const Line& line) { return line.field == field; });
  }
  void remove_name(std::string_view name) {
    std::erase_if(lines, [name](const Line& line) { return equal_ignoring_case(line.name, name); });
  }
  void replace(int field, const std::string& value) {
    remove(field);
    Line line = original[static_cast<std::size_t>(field)];
    line.value = value;
    const auto at = std::find_if(lines.begin(), lines.end(), [field](const Line& each) {
      return each.field == -1 || each.field > field;
    });
    lines.insert(at, line);
  }
  std::string text() const {
    std::string out = start + "\r\n";
    for (const Line& line : lines) out += line.name + ": " + line.value + "\r\n";
    return out + "\r\n";
  }
};

RC_GTEST_PROP(HeadEditorProperty, EditsAreThoseOfAListOfLines, ()) {
  const std::vector<std::string> names = {"X-A", "x-a", "Via", "Cookie", "TE", "X-Longer-Name"};
  const auto value = [] {
    return std::string(*rc::gen::inRange<std::size_t>(0, 40), *rc::gen::inRange('a', 'z'));
  };
  const auto name = [&] { return *rc::gen::elementOf(names); };

  Model model;
  const int count = *rc::gen::inRange(1, 12);
  model.lines.push_back({"Host", "h", 0});
  for (int i = 1; i < count; ++i) model.lines.push_back({name(), value(), i});
  model.original = model.lines;

  const std::size_t headroom = *rc::gen::inRange<std::size_t>(0, 200);
  Workbench bench(model.text(), headroom);
  std::vector<std::unique_ptr<std::string>> texts;  // what the editor borrows
  const auto keep = [&](std::string text) -> const std::string& {
    return *texts.emplace_back(std::make_unique<std::string>(std::move(text)));
  };
  const int edits = *rc::gen::inRange(0, 12);
  for (int i = 0; i < edits; ++i) {
    const int field = *rc::gen::inRange(0, count);
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
        bench.editor().remove(bench.field(static_cast<std::size_t>(field)));
        model.remove(field);
        break;
      case 1: {
        const std::string& text = keep(value());
        bench.editor().replace_value(bench.field(static_cast<std::size_t>(field)), text);
        model.replace(field, text);
        break;
      }
      case 2: {
        const std::string& key = keep(name());
        const std::string& text = keep(value());
        RC_ASSERT(bench.editor().append(key, text));
        model.lines.push_back({key, text, -1});
        break;
      }
      case 3: {
        const std::string& key = keep(name());
        bench.editor().remove_all(key);
        model.remove_name(key);
        break;
      }
      case 4: {
        const std::string& key = keep(name());
        const std::string& text = keep(value());
        RC_ASSERT(bench.editor().set(key, text));
        model.remove_name(key);
        model.lines.push_back({key, text, -1});
        break;
      }
      default: {
        const std::string& line = keep("GET /" + value() + " HTTP/1.1");
        bench.editor().replace_start_line(line);
        model.start = line;
        break;
      }
    }
  }
  const std::string expected = model.text();
  RC_ASSERT(bench.rendered() == expected);
  const bool fits = expected.size() <= headroom + bench.head().size;
  RC_ASSERT(bench.applied() == (fits ? expected : "no room"));
}

}  // namespace
}  // namespace nines::http
