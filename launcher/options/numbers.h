// Numbers in JSON that are too large for its readers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ferry::launcher {

struct Saturated {
  std::string text;
  std::string first;  // the first number that was replaced, as written
};

// JSON's grammar allows 1e999, of which its parser refuses the whole text, and whole numbers beyond 64 bits,
// which the parser rounds: each such number is replaced by the largest double of its sign.  Nothing if there
// is none.  What is no JSON remains none.
std::optional<Saturated> saturated_numbers(std::string_view json);

}  // namespace ferry::launcher
