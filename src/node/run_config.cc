// libfyaml makes the document; a table of keys for each mapping says what may stand in it.
#include "node/run_config.h"

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include <libfyaml.h>

#include "text/suggest.h"
#include "text/units.h"

namespace nines::node {

namespace {

struct DocumentDeleter {
  void operator()(fy_document* document) const { fy_document_destroy(document); }
};
using Document = std::unique_ptr<fy_document, DocumentDeleter>;

class Reader {
 public:
  explicit Reader(const text::SourceFile& file) : file_(file) {}

  LoadedRunConfig read() {
    const Document document = parse();
    if (!loaded_.ok()) return std::move(loaded_);
    // A text of comments alone makes no document, or one whose root is null.
    fy_node* const root = document ? fy_document_root(document.get()) : nullptr;
    if (root == nullptr || is_null(root)) {
      error({}, "nothing is configured").with_allowed("haproxy, keepalived");
      return std::move(loaded_);
    }
    const std::array<Key, 4> keys = {{
        {"haproxy", [this](fy_node* value) { read_paths(value); }},
        {"keepalived", [this](fy_node* value) { loaded_.config.keepalived = path_of(value); }},
        {"control", [this](fy_node* value) { loaded_.config.control = path_of(value); }},
        {"stop", [this](fy_node* value) { read_stop(value); }},
    }};
    read_mapping(root, "the configuration", keys);
    const RunConfig& config = loaded_.config;
    if (loaded_.ok() && config.haproxy.empty() && config.keepalived.empty()) {
      error(span_of(root), "nothing to run").with_allowed("haproxy, keepalived, or both");
    }
    return std::move(loaded_);
  }

 private:
  struct Key {
    std::string_view name;
    std::function<void(fy_node*)> read;
  };

  Document parse() {
    fy_diag_cfg diagnostics_config;
    fy_diag_cfg_default(&diagnostics_config);
    diagnostics_config.fp = nullptr;
    diagnostics_config.output_fn = [](fy_diag*, void*, const char*, size_t) {};
    fy_diag* const diagnostics = fy_diag_create(&diagnostics_config);
    fy_diag_set_collect_errors(diagnostics, true);
    fy_parse_cfg config{};
    config.flags = static_cast<fy_parse_cfg_flags>(FYPCF_DEFAULT_DOC | FYPCF_COLLECT_DIAG);
    config.diag = diagnostics;
    const std::string_view content = file_.content();
    Document document(fy_document_build_from_string(&config, content.data(), content.size()));
    if (!document) {
      void* position = nullptr;
      while (const fy_diag_error* const each = fy_diag_errors_iterate(diagnostics, &position)) {
        // libfyaml counts columns from 1 here, and names the end of what it could not read.
        error(place(each->line, each->column, 1), each->msg);
      }
    }
    fy_diag_destroy(diagnostics);
    return document;
  }

  text::Diagnostic& error(text::Span span, std::string_view message) {
    return loaded_.diagnostics.error(span, message);
  }

  static text::Span place(int line, int column, int length) {
    return {.file = 0, .line = line, .column = column, .length = length};
  }

  // Of a scalar, or of the first scalar within.
  static text::Span span_of(fy_node* node) {
    while (node != nullptr && !fy_node_is_scalar(node)) {
      void* position = nullptr;
      if (fy_node_is_mapping(node)) {
        fy_node_pair* const first = fy_node_mapping_iterate(node, &position);
        node = first == nullptr ? nullptr : fy_node_pair_key(first);
      } else {
        node = fy_node_sequence_iterate(node, &position);
      }
    }
    fy_token* const token = node == nullptr ? nullptr : fy_node_get_scalar_token(node);
    const fy_mark* const mark = token == nullptr ? nullptr : fy_token_start_mark(token);
    if (mark == nullptr) return {};
    const int length = static_cast<int>(scalar(node).size());
    return place(mark->line + 1, mark->column + 1, length > 0 ? length : 1);
  }

  static std::string_view scalar(fy_node* node) {
    std::size_t size = 0;
    const char* const text = fy_node_get_scalar(node, &size);
    return text == nullptr ? std::string_view() : std::string_view(text, size);
  }

  static bool is_null(fy_node* node) {
    if (node == nullptr) return true;
    return fy_node_is_scalar(node) && scalar(node).empty();
  }

  void read_mapping(fy_node* node, std::string_view what, std::span<const Key> keys) {
    std::vector<std::string_view> names;
    std::string allowed;
    for (const Key& key : keys) {
      names.push_back(key.name);
      allowed += (allowed.empty() ? "" : ", ") + std::string(key.name);
    }
    if (!fy_node_is_mapping(node)) {
      error(span_of(node), std::string(what) + " is a mapping of keys to values")
          .with_allowed(allowed);
      return;
    }
    void* position = nullptr;
    while (fy_node_pair* const pair = fy_node_mapping_iterate(node, &position)) {
      fy_node* const name = fy_node_pair_key(pair);
      const std::string_view word = fy_node_is_scalar(name) ? scalar(name) : std::string_view();
      const Key* known = nullptr;
      for (const Key& key : keys) {
        if (key.name == word) known = &key;
      }
      if (known != nullptr) {
        known->read(fy_node_pair_value(pair));
        continue;
      }
      text::Diagnostic& unknown = error(span_of(name), "unknown key");
      unknown.with_found(word).with_allowed(allowed);
      if (const auto near = text::suggest(word, names)) {
        unknown.with_help("did you mean '" + std::string(*near) + "'?");
      }
    }
  }

  std::string path_of(fy_node* value) {
    if (value == nullptr || !fy_node_is_scalar(value) || scalar(value).empty()) {
      error(span_of(value), "a path is expected").with_allowed("the path of a file");
      return {};
    }
    const std::string path(scalar(value));
    if (path.starts_with('/')) return path;
    const std::string& own = file_.name();
    const auto slash = own.rfind('/');
    return slash == std::string::npos ? path : own.substr(0, slash + 1) + path;
  }

  void read_paths(fy_node* value) {
    if (value == nullptr || !fy_node_is_sequence(value)) {
      if (std::string path = path_of(value); !path.empty()) {
        loaded_.config.haproxy.push_back(std::move(path));
      }
      return;
    }
    void* position = nullptr;
    while (fy_node* const each = fy_node_sequence_iterate(value, &position)) {
      if (std::string path = path_of(each); !path.empty()) {
        loaded_.config.haproxy.push_back(std::move(path));
      }
    }
    if (loaded_.ok() && loaded_.config.haproxy.empty()) {
      error({}, "'haproxy' is an empty list").with_allowed("one path or more");
    }
  }

  void read_stop(fy_node* value) {
    const std::array<Key, 1> keys = {{
        {"drain", [this](fy_node* each) { loaded_.config.drain = drain_of(each); }},
    }};
    read_mapping(value, "'stop'", keys);
  }

  Duration drain_of(fy_node* value) {
    constexpr std::string_view kAllowed = "0s to 10m, as in 500ms or 3s";
    const std::string_view word =
        value != nullptr && fy_node_is_scalar(value) ? scalar(value) : std::string_view();
    const auto duration = text::parse_duration(word, std::chrono::seconds(1));
    if (duration.has_value() && *duration >= Duration{} && *duration <= kDrainMax) {
      return *duration;
    }
    error(span_of(value), "no such duration").with_found(word).with_allowed(kAllowed);
    return kDrainDefault;
  }

  const text::SourceFile& file_;
  LoadedRunConfig loaded_;
};

}  // namespace

LoadedRunConfig load_run_config(const text::SourceFile& file) {
  LoadedRunConfig loaded = Reader(file).read();
  loaded.diagnostics.sort();
  return loaded;
}

}  // namespace nines::node
