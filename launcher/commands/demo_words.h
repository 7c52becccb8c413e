// The words on which a small model was trained, from words.txt in its folder.  Each line is a kind of word
// and its words; those of kind `other` carry no meaning, and `example` is a prompt:
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

// Empty if the folder has no such file, like other models' folders.
// Throws UserError for a line without a colon.
DemoWords read_demo_words(const std::string& model_folder);

// User-readable text of several lines; empty if nothing is known.
std::string describe(const DemoWords& words);

// The prompt's words on which the model was not trained, in lower case and in order; none if nothing is
// known.
std::vector<std::string> unknown_words(const DemoWords& words, std::string_view prompt);

}  // namespace ferry::launcher
