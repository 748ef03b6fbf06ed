// "Did you mean": the candidate nearest to a misspelt word.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace nines::text {

// Edits between two words: insert, delete, replace, or swap of two neighbours (Damerau-Levenshtein,
// optimal string alignment), ASCII case ignored.
int edit_distance(std::string_view a, std::string_view b);

// The nearest candidate within a third of the word's length (at least one edit); the first of
// equals. Empty when nothing is near, or when the word is absurdly long.
std::optional<std::string_view> suggest(std::string_view word,
                                        std::span<const std::string_view> candidates);

}  // namespace nines::text
