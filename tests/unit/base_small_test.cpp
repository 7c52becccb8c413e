// base/handle.h, base/text/nearest.h, base/clock.h, base/log.h, base/text/lower.h and base/text/shown.h
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/handle.h"
#include "base/log.h"
#include "base/text/lower.h"
#include "base/text/nearest.h"
#include "base/text/shown.h"

namespace ferry {
namespace {

std::vector<int>& destroyed() {
  static std::vector<int> values;
  return values;
}
void destroy(int value) { destroyed().push_back(value); }
using Owned = Handle<int, destroy, -1>;

TEST(Shown, ControlCharactersAreSpeltOut) {
  EXPECT_EQ(shown("a\nb\x1b[31m"), "a\\x0ab\\x1b[31m");
  EXPECT_EQ(shown("abcdef", 3), "abc...");
}

TEST(Shown, AWordOfAShellHasQuotesWhereItNeedsThem) {
  EXPECT_EQ(shell_word("out/船-1.mp4"), "out/船-1.mp4");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("a b;$(c)"), "'a b;$(c)'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word("it's\n"), "$'it\\x27s\\x0a'");
}

TEST(Lower, LettersOutsideAsciiStay) {
  EXPECT_EQ(lower("AZ [@`{ az.MP4 ÄÉ"), "az [@`{ az.mp4 ÄÉ");
  EXPECT_EQ(lower('\xc4'), '\xc4');
}

TEST(Handle, DestroysOnceAndNeverTheNullValue) {
  destroyed().clear();
  {
    Owned none;
    Owned zero(0);
    Owned moved = std::move(zero);
    EXPECT_FALSE(zero);
    EXPECT_EQ(moved.get(), 0);
    Owned replaced(1);
    replaced = Owned(2);
    EXPECT_EQ(destroyed(), std::vector<int>({1}));
    Owned kept(3);
    EXPECT_EQ(kept.release(), 3);
  }
  EXPECT_EQ(destroyed(), std::vector<int>({1, 2, 0}));
}

TEST(Nearest, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("prompt", "promt"), 1u);
  EXPECT_EQ(edit_distance("ab", "ba"), 2u);
}

TEST(Nearest, NamesTheClosestKnownWordOrNone) {
  const std::array<std::string, 4> known = {"prompt", "negative_prompt", "steps", "step_distill"};
  EXPECT_EQ(nearest("promt", known), "prompt");
  EXPECT_EQ(nearest("negativ_promt", known), "negative_prompt");
  EXPECT_EQ(nearest("step", known), "steps");
  EXPECT_EQ(nearest("colour", known), "");
  EXPECT_EQ(nearest("x", {}), "");
  // A line of a file may be of any length.
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(nearest(std::string(200'000'000, 's'), known), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  const std::array<std::string, 2> equally_near = {"frames", "frameb"};
  EXPECT_EQ(nearest("framex", equally_near), "frames");
}

TEST(Log, RefusesALevelItDoesNotKnow) {
  EXPECT_THROW(start_log("loud", 0, 1), UserError);
  start_log("warning", 0, 1);
  EXPECT_FALSE(spdlog::default_logger()->should_log(spdlog::level::info));
  EXPECT_TRUE(spdlog::default_logger()->should_log(spdlog::level::warn));
}

}  // namespace
}  // namespace ferry
