// "Did you mean ...?"
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace ferry {

// Levenshtein distance: insertions, deletions and replacements of one character each cost 1.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The known word with the smallest edit distance to `word` (the first in a tie), or "" if none is near:
// within a third of the longer word's length, or within 1.
std::string nearest(std::string_view word, std::span<const std::string> known);

}  // namespace ferry
