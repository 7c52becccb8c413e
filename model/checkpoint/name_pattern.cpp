#include "model/checkpoint/name_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace ferry::model {

namespace {

using Node = NamePattern::Node;
using Kind = NamePattern::Kind;
using Characters = NamePattern::Characters;

constexpr std::size_t kMostCharacters = 512;
constexpr int kMostLevels = 16;
constexpr int kMostRepeats = 100;

std::size_t index_of(char c) { return static_cast<unsigned char>(c); }

Characters only(char c) { return Characters().set(index_of(c)); }

Characters between(char first, char last) {
  Characters characters;
  for (std::size_t c = index_of(first); c <= index_of(last); ++c) characters.set(c);
  return characters;
}

bool has_repeat(const Node& node) {
  return node.kind == Kind::Repeat || std::any_of(node.children.begin(), node.children.end(), has_repeat);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), rest_(text) {}

  Node parse() {
    if (text_.size() > kMostCharacters) refuse(fmt::format("longer than {} characters", kMostCharacters));
    Node node = choice(0);
    if (!rest_.empty()) refuse("a ) without its (");
    return node;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const { throw std::invalid_argument(why); }

  bool take(std::string_view begin) {
    if (!rest_.starts_with(begin)) return false;
    rest_.remove_prefix(begin.size());
    return true;
  }

  char next() {
    if (rest_.empty()) refuse("ends too early");
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  Node choice(int level) {
    if (level > kMostLevels) refuse(fmt::format("more than {} levels of ( )", kMostLevels));
    Node node{.kind = Kind::Choice};
    do {
      Node sequence{.kind = Kind::Sequence};
      while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')')
        sequence.children.push_back(repeated(level));
      node.children.push_back(std::move(sequence));
    } while (take("|"));
    return node.children.size() == 1 ? std::move(node.children[0]) : node;
  }

  Node repeated(int level) {
    Node node = atom(level);
    Node repeat{.kind = Kind::Repeat};
    if (!read_times(repeat)) return node;
    if (node.kind == Kind::Begin || node.kind == Kind::End || has_repeat(node))
      refuse("a repeat of a repeat, ^ or $");
    if (!rest_.empty() && std::string_view("*+?{").find(rest_[0]) != std::string_view::npos)
      refuse("two repeats one after the other");
    repeat.children.push_back(std::move(node));
    return repeat;
  }

  bool read_times(Node& repeat) {
    if (take("*")) return repeat.most = -1, true;
    if (take("+")) return repeat.least = 1, repeat.most = -1, true;
    if (take("?")) return repeat.most = 1, true;
    if (!take("{")) return false;
    repeat.least = number();
    repeat.most = repeat.least;
    if (take(",")) repeat.most = rest_.starts_with("}") ? -1 : number();
    if (!take("}") || (repeat.most >= 0 && repeat.most < repeat.least))
      refuse("{ } that is no number of times");
    return true;
  }

  int number() {
    int value = 0;
    if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9') refuse("{ } that is no number of times");
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
      value = 10 * value + (next() - '0');
      if (value > kMostRepeats) refuse(fmt::format("more than {} times", kMostRepeats));
    }
    return value;
  }

  Node atom(int level) {
    const char c = next();
    if (c == '(') return group(level);
    if (c == '^') return {.kind = Kind::Begin};
    if (c == '$') return {.kind = Kind::End};
    if (c == '.') return {.kind = Kind::One, .characters = ~only('\n')};
    if (c == '[') return {.kind = Kind::One, .characters = set()};
    if (c == '\\') return {.kind = Kind::One, .characters = escaped()};
    if (std::string_view("*+?{").find(c) != std::string_view::npos) refuse("a repeat of nothing");
    return {.kind = Kind::One, .characters = only(c)};
  }

  Node group(int level) {
    if (rest_.starts_with("?") && !take("?:")) refuse("(? that is not (?:");
    Node node = choice(level + 1);
    if (!take(")")) refuse("a ( without its )");
    return node;
  }

  Characters escaped() {
    const char c = next();
    const Characters digits = between('0', '9');
    const Characters letters = between('a', 'z') | between('A', 'Z');
    if (c == 'd') return digits;
    if (c == 'w') return digits | letters | only('_');
    if ((digits | letters).test(index_of(c))) refuse(fmt::format("\\{}", c));
    return only(c);
  }

  Characters set() {
    const bool outside = take("^");
    Characters characters;
    bool first = true;
    while (first || !take("]")) {
      const char begin = next();
      first = false;
      if (begin == '\\') {
        characters |= escaped();
      } else if (rest_.starts_with("-") && rest_.size() > 1 && rest_[1] != ']') {
        take("-");
        const char end = next();
        if (end == '\\' || index_of(end) < index_of(begin)) refuse("[ ] with a range that is none");
        characters |= between(begin, end);
      } else {
        characters.set(index_of(begin));
      }
    }
    return outside ? ~characters : characters;
  }

  std::string_view text_;
  std::string_view rest_;
};

// Places in a name, from 0 before its first character to its size after the last.
using Places = std::vector<bool>;

void add(Places& to, const Places& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = to[i] || from[i];
}

// Where a match that begins at one of the places may end.
Places ends_of(const Node& node, const Places& from, std::string_view name);

Places repeat_ends(const Node& node, Places at, std::string_view name) {
  Places ends(at.size(), false);
  const int enough = node.most >= 0 ? node.most : node.least + static_cast<int>(name.size());
  for (int times = 0;; ++times) {
    if (times >= node.least) add(ends, at);
    if (times == enough) return ends;
    at = ends_of(node.children[0], at, name);
  }
}

Places ends_of(const Node& node, const Places& from, std::string_view name) {
  Places ends(from.size(), false);
  switch (node.kind) {
    case Kind::One:
      for (std::size_t i = 0; i < name.size(); ++i)
        ends[i + 1] = from[i] && node.characters.test(index_of(name[i]));
      return ends;
    case Kind::Begin:
      ends.front() = from.front();
      return ends;
    case Kind::End:
      ends.back() = from.back();
      return ends;
    case Kind::Sequence:
      ends = from;
      for (const Node& child : node.children) ends = ends_of(child, ends, name);
      return ends;
    case Kind::Choice:
      for (const Node& child : node.children) add(ends, ends_of(child, from, name));
      return ends;
    case Kind::Repeat:
      return repeat_ends(node, from, name);
  }
  return ends;
}

bool may_begin(std::string_view name, std::size_t place) { return place == 0 || name[place - 1] == '.'; }

bool matches_end(const std::vector<Node>& characters, std::string_view name) {
  if (characters.size() > name.size()) return false;
  const std::size_t begin = name.size() - characters.size();
  if (!may_begin(name, begin)) return false;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    if (!characters[i].characters.test(index_of(name[begin + i]))) return false;
  }
  return true;
}

}  // namespace

NamePattern::NamePattern(std::string_view text) : root_(Parser(text).parse()) {
  fixed_ =
      root_.kind == Kind::Sequence && std::all_of(root_.children.begin(), root_.children.end(),
                                                  [](const Node& node) { return node.kind == Kind::One; });
}

bool NamePattern::matches(std::string_view name) const {
  if (fixed_) return matches_end(root_.children, name);
  Places begins(name.size() + 1);
  for (std::size_t i = 0; i < begins.size(); ++i) begins[i] = may_begin(name, i);
  return ends_of(root_, begins, name).back();
}

}  // namespace ferry::model
