#include "model/defaults.h"

#include <gtest/gtest.h>

#include "model/text/prompts.h"

namespace ferry::model {
namespace {

TEST(DefaultJob, KnowsTheModelsByTheirDimensions) {
  const ModelDefaults small = default_job({.dim = 1536, .layers = 30});
  EXPECT_EQ(small.model, "Wan2.1-T2V-1.3B");
  EXPECT_EQ(small.width, 832);
  EXPECT_EQ(small.height, 480);
  EXPECT_EQ(small.steps, 50);
  EXPECT_EQ(small.negative_prompt, kWanNegativePrompt);
  const ModelDefaults large = default_job({.dim = 5120, .layers = 40});
  EXPECT_EQ(large.model, "Wan2.1-T2V-14B");
  EXPECT_EQ(large.width, 1280);
  const ModelDefaults demo = default_job({.dim = 192, .layers = 6});
  EXPECT_EQ(demo.width, 128);
  EXPECT_EQ(demo.frames, 17);
  EXPECT_EQ(demo.negative_prompt, "");
}

TEST(DefaultJob, OtherDimensionsAreNotMistakenForAModel) {
  // 14B with 20 of its layers, and an image-to-video model.
  EXPECT_EQ(default_job({.dim = 5120, .layers = 20}).model, "unknown");
  EXPECT_EQ(default_job({.dim = 5120, .layers = 40, .in_channels = 36}).model, "unknown");
  EXPECT_EQ(default_job({.dim = 5120, .layers = 20}).width, 832);
}

TEST(DefaultJob, FramesFitTheVae) {
  for (const DitConfig& config : {DitConfig{.dim = 192, .layers = 6}, DitConfig{.dim = 5120, .layers = 40}}) {
    EXPECT_EQ(default_job(config).frames % 4, 1);
    EXPECT_EQ(default_job(config).width % 16, 0);
    EXPECT_EQ(default_job(config).height % 16, 0);
  }
}

}  // namespace
}  // namespace ferry::model
