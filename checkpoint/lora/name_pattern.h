// Patterns of module names in PEFT's rank_pattern and alpha_pattern: Python regular expressions that must
// match the whole name or the part after one of its dots, `(.*\.)?(PATTERN)$`.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ferry::checkpoint {

class NamePattern {
 public:
  // Supports characters, `.`, `\` before a character, \d \w, [sets], ( ), (?: ), |, * + ? {m} {m,n}, ^ and $.
  // Throws std::invalid_argument naming what is unsupported: anything else, a repeat inside a repeat (which
  // could take exponential time), more than 512 characters.
  explicit NamePattern(std::string_view text);

  // Adds the work done to *steps: characters of the name times parts of the pattern.
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
  // A plain sequence of characters, as nearly all patterns are; root_ then omits ^ and $.
  bool fixed_ = false;
  bool whole_ = false;  // as above, anchored by ^
};

}  // namespace ferry::checkpoint
