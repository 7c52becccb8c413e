#include "checkpoint/lora/name_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace ferry::checkpoint {

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

// Positions in a name, from 0 before the first character to its size after the last.
using Places = std::vector<bool>;

bool any(const Places& places) { return std::find(places.begin(), places.end(), true) != places.end(); }

// Adds places; returns true if one is new.
bool add(Places& to, const Places& from) {
  bool more = false;
  for (std::size_t i = 0; i < to.size(); ++i) {
    more = more || (from[i] && !to[i]);
    to[i] = to[i] || from[i];
  }
  return more;
}

// Matches a pattern against a name by sets of positions.
class Walk {
 public:
  explicit Walk(std::string_view name) : name_(name) {}
  std::int64_t steps() const { return steps_; }

  // End positions of matches that begin at any of the given positions.
  Places ends_of(const Node& node, const Places& from) {
    Places ends(from.size(), false);
    steps_ += static_cast<std::int64_t>(from.size());
    switch (node.kind) {
      case Kind::One:
        for (std::size_t i = 0; i < name_.size(); ++i)
          ends[i + 1] = from[i] && node.characters.test(index_of(name_[i]));
        return ends;
      case Kind::Begin:
        ends.front() = from.front();
        return ends;
      case Kind::End:
        ends.back() = from.back();
        return ends;
      case Kind::Sequence:
        return sequence_ends(node, from);
      case Kind::Choice:
        for (const Node& child : node.children) add(ends, ends_of(child, from));
        return ends;
      case Kind::Repeat:
        return repeat_ends(node, from);
    }
    return ends;
  }

 private:
  Places sequence_ends(const Node& node, Places at) {
    for (const Node& child : node.children) {
      if (!any(at)) return at;
      at = ends_of(child, at);
    }
    return at;
  }

  // Stops when another repeat adds no position: no further one would.
  Places repeat_ends(const Node& node, Places at) {
    Places ends(at.size(), false);
    for (int times = 0;; ++times) {
      if (times >= node.least && !add(ends, at)) return ends;
      if (times == node.most) return ends;
      Places next = ends_of(node.children[0], at);
      if (times < node.least && next == at) times = node.least - 1;  // a fixed point: skip to the minimum
      at = std::move(next);
    }
  }

  std::string_view name_;
  std::int64_t steps_ = 0;  // positions examined
};

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
  if (root_.kind != Kind::Sequence) return;
  std::vector<Node> rest = root_.children;
  const bool begins = !rest.empty() && rest.front().kind == Kind::Begin;
  if (begins) rest.erase(rest.begin());
  if (!rest.empty() && rest.back().kind == Kind::End) rest.pop_back();
  fixed_ = std::all_of(rest.begin(), rest.end(), [](const Node& node) { return node.kind == Kind::One; });
  if (!fixed_) return;
  whole_ = begins;
  root_.children = std::move(rest);
}

bool NamePattern::matches(std::string_view name, std::int64_t* steps) const {
  if (fixed_) return (!whole_ || root_.children.size() == name.size()) && matches_end(root_.children, name);
  Places begins(name.size() + 1);
  for (std::size_t i = 0; i < begins.size(); ++i) begins[i] = may_begin(name, i);
  Walk walk(name);
  const bool found = walk.ends_of(root_, begins).back();
  if (steps != nullptr) *steps += walk.steps();
  return found;
}

}  // namespace ferry::checkpoint
