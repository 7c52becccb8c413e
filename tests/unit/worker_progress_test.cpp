// What people see of a run's progress.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "worker/record/progress.h"

namespace ferry::worker {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Progress, DurationsReadLikeAClock) {
  EXPECT_EQ(duration_text(0.4), "0:00");
  EXPECT_EQ(duration_text(7), "0:07");
  EXPECT_EQ(duration_text(754), "12:34");
  EXPECT_EQ(duration_text(3723), "1:02:03");
  EXPECT_EQ(duration_text(-3), "0:00");
}

TEST(Progress, TheFirstStepDoesNotCountForTheTimeLeft) {
  // The first step took 10 s, the next four 1 s each; 15 are left, and half a second of the next is over.
  const ProgressState state{.stage = "denoise", .done = 5, .total = 20, .seconds = 14.5, .step_seconds = 14};
  const std::string text = progress_text(state, 10);
  EXPECT_THAT(text, HasSubstr("[#####---------------]   5/20  1.00 s/step"));
  EXPECT_THAT(text, EndsWith("0:15 left"));  // 14.5, rounded
}

TEST(Progress, ATerminalGetsOneLineThatIsRewritten) {
  std::string seen;
  Progress progress([&](const std::string& text) { seen += text; }, true);
  progress.begin("denoise", 2);
  progress.step();
  progress.step();
  progress.end();
  EXPECT_THAT(seen, StartsWith("\rdenoise"));
  EXPECT_THAT(seen, EndsWith("\n"));
  EXPECT_EQ(std::count(seen.begin(), seen.end(), '\n'), 1);
}

TEST(Progress, AStageThatIsGivenUpLeavesItsLineAndSaysNoTime) {
  for (const bool terminal : {true, false}) {
    std::string seen;
    Progress progress([&](const std::string& text) { seen += text; }, terminal);
    progress.begin("denoise", 2);
    const std::string before = seen;
    progress.give_up();
    EXPECT_EQ(seen, before + (terminal ? "\n" : ""));
    progress.give_up();
    EXPECT_EQ(seen, before + (terminal ? "\n" : ""));
  }
}

TEST(Progress, AFileGetsOneLineForAShortStage) {
  std::string seen;
  Progress progress([&](const std::string& text) { seen += text; }, false);
  progress.begin("denoise", 100);
  for (int i = 0; i < 100; ++i) progress.step();
  progress.end();
  EXPECT_EQ(std::count(seen.begin(), seen.end(), '\n'), 1);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), '\r'), 0);
  EXPECT_THAT(seen, StartsWith("denoise"));
}

TEST(Progress, StepsOfABatchShowTheVideosPlaceAndTheTimeLeftForAll) {
  EXPECT_EQ(place_text({.number = 1, .count = 20, .seconds_left = 0}, 5), ", video 1/20");
  EXPECT_EQ(place_text({.number = 3, .count = 20, .seconds_left = 735}, 5),
            ", video 3/20, 12:10 left for all");
  EXPECT_EQ(place_text({.number = 3, .count = 20, .seconds_left = 3}, 5), ", video 3/20, 0:00 left for all");
  std::string text;
  Progress progress([&](const std::string& part) { text += part; }, true);
  progress.set_place({.number = 2, .count = 3, .seconds_left = 60});
  progress.begin("denoise", 1'000'000'000);
  for (int i = 0; i < 999'999'999 && text.find("left for all") == std::string::npos; ++i) progress.step();
  EXPECT_NE(text.find(", video 2/3, 1:00 left for all"), std::string::npos) << text;
}

}  // namespace
}  // namespace ferry::worker
