// Patterns of module names as PEFT's rank_pattern and alpha_pattern have them: regular expressions of Python,
// of which the whole must match the name or what follows one of its dots, `(.*\.)?(PATTERN)$`.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ferry::checkpoint {

class NamePattern {
 public:
  // Known are characters, `.`, `\` before a character, \d \w, [sets], ( ), (?: ), |, * + ? {m} {m,n}, ^ and
  // $. Throws std::invalid_argument saying what it does not know: anything else, a repeat inside a repeat
  // (which could take for ever), more than 512 characters.
  explicit NamePattern(std::string_view text);

  // Adds the work it took to *steps: characters of the name times parts of the pattern.
  bool matches(std::string_view name, std::int64_t* steps = nullptr) const;

  using Characters = std::bitset<256>;
  enum class Kind : std::uint8_t { One, Begin, End, Sequence, Choice, Repeat };
  struct Node {
    Kind kind = Kind::Sequence;
    Characters characters{};       // One
    int least = 0, most = 0;       // Repeat; most < 0: any number
    std::vector<Node> children{};  // Sequence, Choice, Repeat
  };

 private:
  Node root_;
  // One character after the other, as nearly all patterns are; root_ is then without ^ and $.
  bool fixed_ = false;
  bool whole_ = false;  // the same behind a ^
};

}  // namespace ferry::checkpoint
