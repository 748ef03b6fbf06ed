// What every section of nines.yaml is read with: a document with places, mappings held to a table
// of keys, paths, words. What is wrong is collected, and reading goes on.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <libfyaml.h>

#include "text/diagnostics.h"
#include "text/source.h"

namespace nines::node {

// Borrows the file and the diagnostics. Nodes live as long as the document that parse() gave.
class YamlReader {
 public:
  struct Key {
    std::string_view name;
    std::function<void(fy_node*)> read;
  };
  struct DocumentDeleter {
    void operator()(fy_document* document) const { fy_document_destroy(document); }
  };
  using Document = std::unique_ptr<fy_document, DocumentDeleter>;

  YamlReader(const text::SourceFile& file, text::Diagnostics& diagnostics)
      : file_(file), diagnostics_(diagnostics) {}

  // Null when it is no YAML; repeated keys count as that.
  Document parse();
  text::Diagnostic& error(text::Span span, std::string_view message) {
    return diagnostics_.error(span, message);
  }
  text::Diagnostics& diagnostics() { return diagnostics_; }

  // Of a scalar, or of the first scalar within.
  static text::Span span_of(fy_node* node);
  // Empty for what is no scalar.
  static std::string_view scalar(fy_node* node);
  static std::string_view word_of(fy_node* node);
  static bool is_null(fy_node* node);

  // Calls the key's reader for each pair; an unknown key is an error that says what is meant.
  void read_mapping(fy_node* node, std::string_view what, std::span<const Key> keys);
  // Relative ones start from the file's own folder. Empty after an error.
  std::string path_of(fy_node* value);

 private:
  const text::SourceFile& file_;
  text::Diagnostics& diagnostics_;
};

}  // namespace nines::node
