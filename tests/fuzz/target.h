// Fuzz targets: readers of files that somebody else made, one function each.
//
// A target either accepts its input or refuses it with a UserError of one line.  Anything else is a finding:
// another exception, a crash, a report of a sanitizer, an allocation out of proportion, a hang.  The same
// functions run under the seeded driver (driver.cpp) and under libFuzzer (libfuzzer.cpp).
//
// One more target: a function and its Target in a source file, its declaration and place in targets.cpp, its
// name in tests/unit/fuzz.cmake.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ferry::fuzz {

struct Target {
  std::string_view name;
  // Reads the input, and all that it accepts to the last element.
  void (*read)(std::string_view input);
  // Good inputs, made by Ferry's own writers where it has one.
  std::vector<std::string> (*corpus)();
  // Words of the format for mutations to insert.
  std::vector<std::string_view> tokens;
  int seconds = 60;  // of a test
};

// All of them, in the order of tests/unit/fuzz.cmake.
std::span<const Target> targets();
// Throws std::invalid_argument, which lists the names.
const Target& target_named(std::string_view name);

struct Outcome {
  bool accepted = false;
  std::string refusal = {};  // the UserError's text
};

// Runs a target on a copy of exactly the input's size, so that AddressSanitizer sees one byte beyond.
// Throws std::logic_error that says what is wrong where it neither accepts nor refuses as it should.
Outcome outcome_of(const Target& target, std::string_view input);

}  // namespace ferry::fuzz
