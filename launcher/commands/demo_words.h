// The words that a small model was taught, from the file words.txt in its folder.  Each line is a kind of
// word and its words; those of the kind `other` carry no meaning, and `example` is a prompt:
//
//   colours: red, green, blue
//   other: a, the, on
//   example: a red circle moving right on a black background
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ferry::launcher {

struct DemoWords {
  std::vector<std::pair<std::string, std::vector<std::string>>> kinds;  // in the order of the file
  std::string example;
};

// Nothing when the folder has no such file, as the folder of another model.
// Throws UserError for a line without a colon.
DemoWords read_demo_words(const std::string& model_folder);

// Several lines for the user to read; empty when nothing is known.
std::string describe(const DemoWords& words);

// The words of the prompt that the model was not taught, lower case, in their order; none when nothing is
// known.
std::vector<std::string> unknown_words(const DemoWords& words, std::string_view prompt);

}  // namespace ferry::launcher
