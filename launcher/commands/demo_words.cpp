#include "launcher/commands/demo_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <fstream>

#include "base/error.h"
#include "base/text/lower.h"
#include "base/text/shown.h"

namespace ferry::launcher {
namespace {

constexpr const char* kOther = "other";

// Splits into runs of letters and non-ASCII characters, in lower case.
std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::isalpha(byte) != 0) {
      words.back() += lower(c);
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

bool knows(const DemoWords& words, const std::string& word) {
  return std::any_of(words.kinds.begin(), words.kinds.end(), [&](const auto& kind) {
    return std::find(kind.second.begin(), kind.second.end(), word) != kind.second.end();
  });
}

}  // namespace

DemoWords read_demo_words(const std::string& model_folder) {
  const std::string path = model_folder + "/words.txt";
  std::ifstream file(path);
  DemoWords words;
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) throw UserError(fmt::format("{}: no colon in \"{}\"", path, shown(line)));
    const std::string kind = line.substr(0, colon), rest = line.substr(colon + 1);
    if (kind == "example") {
      words.example = rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
    } else {
      words.kinds.emplace_back(kind, split_words(rest));
    }
  }
  return words;
}

std::string describe(const DemoWords& words) {
  if (words.kinds.empty()) return {};
  std::string text = "The small model knows\n";
  for (const auto& [kind, list] : words.kinds) {
    if (kind != kOther) text += fmt::format("  {:<12} {}\n", kind, fmt::join(list, ", "));
  }
  if (!words.example.empty()) text += fmt::format("in sentences like \"{}\".\n", words.example);
  return text;
}

std::vector<std::string> unknown_words(const DemoWords& words, std::string_view prompt) {
  std::vector<std::string> unknown;
  if (words.kinds.empty()) return unknown;
  for (const std::string& word : split_words(prompt)) {
    const bool listed = std::find(unknown.begin(), unknown.end(), word) != unknown.end();
    if (!listed && !knows(words, word)) unknown.push_back(word);
  }
  return unknown;
}

}  // namespace ferry::launcher
