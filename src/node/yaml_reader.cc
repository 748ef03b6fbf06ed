// libfyaml makes the document and knows the places in it.
#include "node/yaml_reader.h"

#include <vector>

#include "text/suggest.h"

namespace nines::node {

namespace {

text::Span place(int line, int column, int length) {
  return {.file = 0, .line = line, .column = column, .length = length};
}

}  // namespace

YamlReader::Document YamlReader::parse() {
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

// Of a scalar, or of the first scalar within.
text::Span YamlReader::span_of(fy_node* node) {
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

std::string_view YamlReader::scalar(fy_node* node) {
  std::size_t size = 0;
  const char* const text = fy_node_get_scalar(node, &size);
  return text == nullptr ? std::string_view() : std::string_view(text, size);
}

bool YamlReader::is_null(fy_node* node) {
  if (node == nullptr) return true;
  return fy_node_is_scalar(node) && scalar(node).empty();
}

void YamlReader::read_mapping(fy_node* node, std::string_view what, std::span<const Key> keys) {
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

std::string YamlReader::path_of(fy_node* value) {
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

std::string_view YamlReader::word_of(fy_node* node) {
  return node != nullptr && fy_node_is_scalar(node) ? scalar(node) : std::string_view();
}

}  // namespace nines::node
