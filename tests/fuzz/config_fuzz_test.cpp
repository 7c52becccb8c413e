// Mutated .cfg files, from fixed seeds.  What the parser reads must be what a second reading of the rules,
// below, says line by line; what that calls wrong must be a UserError of one line.  Nothing else may be
// thrown, and nothing outside the text be read (tools/asan.sh runs it under AddressSanitizer).
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <random>
#include <tuple>

#include "base/error.h"
#include "launcher/options/config_text.h"

namespace ferry::launcher {
namespace {

using Line = std::tuple<std::string, std::string, std::string>;  // group, key, value
using Lines = std::vector<Line>;

bool blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }

std::string strip(std::string text) {
  while (!text.empty() && blank(text.back())) text.pop_back();
  while (!text.empty() && blank(text.front())) text.erase(0, 1);
  return text;
}

bool opens_comment(const std::string& line, std::size_t at) {
  return (line[at] == '#' || line[at] == ';') && (at == 0 || blank(line[at - 1]));
}

// The second reading, from the last character to the first.
std::size_t comment_of(const std::string& line, std::size_t from) {
  std::size_t found = line.size();
  for (std::size_t at = line.size(); at-- > from;) {
    if (opens_comment(line, at)) found = at;
  }
  return found;
}

std::string value_by_the_rules(const std::string& line, std::size_t equals) {
  std::size_t first = equals + 1;
  while (first < line.size() && blank(line[first])) ++first;
  if (first < line.size() && (line[first] == '"' || line[first] == '\'')) {
    const std::size_t other = line.find(line[first], first + 1);
    if (other != std::string::npos) {
      std::size_t next = other + 1;
      while (next < line.size() && blank(line[next])) ++next;
      const bool comment = next < line.size() && next > other + 1 && opens_comment(line, next);
      if (next == line.size() || comment) return line.substr(first + 1, other - first - 1);
    }
  }
  return strip(line.substr(equals + 1, comment_of(line, equals + 1) - equals - 1));
}

// Nothing: the line is wrong.  Empty: it says nothing.
std::optional<Lines> by_the_rules(const std::string& line, std::string& group) {
  const std::string said = strip(line.substr(0, comment_of(line, 0)));
  if (said.empty()) return Lines{};
  if (line.starts_with("\xef\xbb\xbf")) return std::nullopt;
  if (said.front() == '[') {
    const std::string name = said.back() == ']' ? strip(said.substr(1, said.size() - 2)) : "";
    if (name.empty()) return std::nullopt;
    group = name;
    return Lines{{group, "", ""}};
  }
  const std::size_t equals = line.find('=');
  if (equals >= comment_of(line, 0)) return std::nullopt;
  const std::string key = strip(line.substr(0, equals));
  if (key.empty()) return std::nullopt;
  return Lines{{group, key, value_by_the_rules(line, equals)}};
}

std::optional<Lines> by_the_rules(std::string text) {
  if (text.find('\0') != std::string::npos || text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    return std::nullopt;
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  Lines all;
  std::string group;
  std::string line;
  text += '\n';
  for (const char c : text) {
    if (c != '\n' && c != '\r') {
      line += c;
      continue;
    }
    const auto lines = by_the_rules(line, group);
    if (!lines) return std::nullopt;
    all.insert(all.end(), lines->begin(), lines->end());
    line.clear();
  }
  return all;
}

// What the parser says; nothing when it refuses.
std::optional<Lines> parsed(const std::string& text) {
  // A copy of exactly this size: the address sanitizer sees one byte beyond.
  const auto copy = std::make_unique<char[]>(text.size());
  std::copy(text.begin(), text.end(), copy.get());
  try {
    Lines lines;
    for (const ConfigEntry& entry : parse_config_text({copy.get(), text.size()}))
      lines.emplace_back(entry.group, entry.key, entry.value);
    return lines;
  } catch (const UserError& error) {
    EXPECT_EQ(std::string(error.what()).find_first_of("\r\n"), std::string::npos) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 500U);
    return std::nullopt;
  }
}

const std::string kGood =
    "# how it is made\n[model]\ndtype = bf16 ; half\n[job]\nprompt = \"a #1 blue square; it's new\" # "
    "quoted\n"
    "negative_prompt = it's 'bad' \"and\" ugly\nsize=832x480\n\tsteps\t=\t50\t# many\nout = '~/a b.mp4'\n"
    "fps =\n\n[offload]\ntype = async;no comment\nmodule_config = onload_dtype=bf16, offload_device=cpu\n"
    "; end\n[ dit ]\noffload.prefetch_size = 2\n";

constexpr std::array<std::string_view, 26> kPieces = {"#",
                                                      ";",
                                                      " #",
                                                      " ;",
                                                      "\"",
                                                      "'",
                                                      "\" ",
                                                      "' #",
                                                      "=",
                                                      " = ",
                                                      "[",
                                                      "]",
                                                      "\n",
                                                      "\r",
                                                      "\r\n",
                                                      " ",
                                                      "\t",
                                                      "\v",
                                                      "\f",
                                                      "\\",
                                                      "\xef\xbb\xbf",
                                                      "\xff\xfe",
                                                      std::string_view("\0", 1),
                                                      "\xc3\xa9",
                                                      "\xe9",
                                                      "[job]\n"};

class Mutation {
 public:
  explicit Mutation(std::uint64_t seed) : random_(seed) {}

  std::string operator()(std::string text) {
    for (std::uint64_t changes = 1 + random_() % 4; changes > 0; --changes) change(text);
    return text;
  }

 private:
  std::size_t place(const std::string& text) { return random_() % (text.size() + 1); }

  void change(std::string& text) {
    const std::size_t at = place(text);
    switch (random_() % 7) {
      case 0:
        text.insert(at, kPieces[random_() % kPieces.size()]);
        break;
      case 1:
        text.erase(at, random_() % 12);
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(random_());
        break;
      case 3:
        text.insert(at, text.substr(place(text), random_() % 40));
        break;
      case 4:
        text.resize(at);
        break;
      case 5:
        text.insert(0, kPieces[random_() % kPieces.size()]);
        break;
      default:
        replace_line_ends(text, random_() % 2 == 0 ? "\r\n" : "\r");
    }
  }

  static void replace_line_ends(std::string& text, std::string_view end) {
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + end.size()))
      text.replace(at, 1, end);
  }

  std::mt19937_64 random_;
};

TEST(ConfigFuzz, TheGoodFileIsReadAlike) {
  ASSERT_TRUE(parsed(kGood).has_value());
  EXPECT_EQ(parsed(kGood), by_the_rules(kGood));
  EXPECT_EQ(std::get<2>(parsed(kGood)->at(3)), "a #1 blue square; it's new");
}

TEST(ConfigFuzz, EveryMutationIsReadByTheRulesOrRefused) {
  int accepted = 0;
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    const std::string text = Mutation(seed)(kGood);
    const std::optional<Lines> lines = parsed(text);
    ASSERT_EQ(lines, by_the_rules(text)) << "seed " << seed << "\n" << text;
    ++(lines ? accepted : refused);
  }
  // Neither is an accident.
  EXPECT_GT(accepted, 5'000);
  EXPECT_GT(refused, 5'000);
}

// Short lines of nothing but signs meet every corner of the rules.
TEST(ConfigFuzz, EveryLineOfSignsIsReadByTheRulesOrRefused) {
  std::mt19937_64 random(3);
  const std::string signs = "=\"'#; a[]";
  for (int round = 0; round < 50'000; ++round) {
    std::string text = random() % 2 == 0 ? "k=" : "";
    for (std::uint64_t length = random() % 12; length > 0; --length) text += signs[random() % signs.size()];
    ASSERT_EQ(parsed(text), by_the_rules(text)) << text;
  }
}

}  // namespace
}  // namespace ferry::launcher
