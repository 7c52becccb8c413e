// Numbers in JSON that no double can hold.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ferry::launcher {

struct Saturated {
  std::string text;
  std::string first;  // the first number that was replaced, as written
};

// JSON's grammar allows 1e999, its parser refuses the whole text: each such number is replaced by the largest
// double of its sign.  Nothing if there is none.  What is no JSON remains none.
std::optional<Saturated> saturated_numbers(std::string_view json);

}  // namespace ferry::launcher
