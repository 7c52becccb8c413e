// Patterns of module names, against what Python's re.match(r"(.*\.)?(PATTERN)$", name) says.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "checkpoint/lora/name_pattern.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

const std::vector<std::string> kNames = {"q",
                                         "to_q",
                                         "attn1.to_q",
                                         "blocks.0.attn1.to_q",
                                         "blocks.12.attn1.to_q",
                                         "blocks.0.attn1_to_q",
                                         "blocks.0.ffn.net.0.proj",
                                         "head.head",
                                         "a.b.a.b",
                                         "."};
const std::vector<std::string> kPatterns = {"q",
                                            "to_q",
                                            "attn1.to_q",
                                            R"(attn1\.to_q)",
                                            "^blocks.0.attn1.to_q",
                                            "^attn1.to_q",
                                            "to_q$",
                                            "blocks.*to_q",
                                            R"(blocks\.\d+\.attn1\.to_q)",
                                            R"(blocks\.[02-9]\.attn1\.to_q)",
                                            R"(blocks\.[^0]\d\..*)",
                                            "(to_q|proj)",
                                            "(?:blocks|attn1).+",
                                            "attn[0-9]?.to_q",
                                            R"(\w+)",
                                            "b{0,1}",
                                            "[]q]",
                                            ".*",
                                            "",
                                            "a|b",
                                            "(a|b)(.b)?",
                                            "[.]"};

// For Python's source.
std::string quoted(const std::string& text) {
  std::string hex;
  for (const char c : text) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return fmt::format("bytes.fromhex('{}').decode()", hex);
}

TEST(NamePattern, MatchesAsPythonDoes) {
  if (!testing::has_python()) GTEST_SKIP() << "no Python";
  std::string script = "import re\npairs = [";
  std::string found;
  for (const std::string& pattern : kPatterns) {
    for (const std::string& name : kNames) {
      script += fmt::format("({}, {}),\n", quoted(pattern), quoted(name));
      found += NamePattern(pattern).matches(name) ? '1' : '0';
    }
  }
  script += "]\nprint(''.join('01'[bool(re.match(rf'(.*\\.)?({p})$', n))] for p, n in pairs), end='')";
  const std::string expected = testing::run_python(script, {});
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_EQ(found[i], expected[i]) << kPatterns[i / kNames.size()] << " on " << kNames[i % kNames.size()];
  EXPECT_NE(found.find('1'), std::string::npos);
}

TEST(NamePattern, WhatItDoesNotKnowIsRefused) {
  for (const std::string& text :
       {std::string("("), std::string(")"), std::string("["), std::string("[z-a]"), std::string("\\"),
        std::string("\\1"), std::string("\\bq"), std::string("*q"), std::string("a**"), std::string("(a*)*"),
        std::string("a{2,1}"), std::string("a{999}"), std::string("a{x}"), std::string("(?i)q"),
        std::string("(?=q)"), std::string(513, 'a'), std::string(40, '(') + std::string(40, ')')})
    EXPECT_THROW(NamePattern{text}, std::invalid_argument) << text;
}

// An engine that goes back and tries again takes 2^80 steps here.
TEST(NamePattern, TakesNoLongerForAHostilePattern) {
  std::string text;
  for (int i = 0; i < 80; ++i) text += "(a|a)?";
  EXPECT_FALSE(NamePattern(text + "b").matches(std::string(80, 'a')));
}

}  // namespace
}  // namespace ferry::checkpoint
