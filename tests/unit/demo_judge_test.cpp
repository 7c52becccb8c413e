#include "tests/support/demo_judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace ferry::testing {
namespace {

struct Scene {
  std::size_t colour = 0;  // indices into the lists of demo_world.h
  std::size_t shape = 0;
  std::size_t direction = 0;
  std::size_t background = 0;
  double radius = 0.165;  // of the frame
  double travel = 0.35;   // of the frame, from first to last frame
  double slant = 0;       // travel across, as a share of the travel along
  double softness = 1;    // width of the outline in pixels
};

struct Drawing {
  int size = 0;
  int frames = 0;
  std::vector<std::uint8_t> rgb;

  worker::Clip clip() const { return {rgb.data(), frames, size, size}; }
};

// Four samples a side in each pixel, unlike the judge's templates and the training data.
double covered(const Scene& scene, double x, double y, double radius) {
  double sum = 0;
  for (int i = 0; i < 16; ++i) {
    const double u = x + (i % 4 - 1.5) / 4, v = y + (i / 4 - 1.5) / 4;
    sum += coverage(scene.shape, u / scene.softness, v / scene.softness, radius / scene.softness);
  }
  return sum / 16;
}

Drawing draw(const Scene& scene, int size, int frames, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> noise(0, 3);
  const Rgb colour = kColours[scene.colour].rgb, back = kBackgrounds[scene.background].rgb;
  const double dx = kDirections[scene.direction].dx, dy = kDirections[scene.direction].dy;
  Drawing drawing{size, frames, {}};
  for (int f = 0; f < frames; ++f) {
    const double way = size * scene.travel * (f / (frames - 1.0) - 0.5);
    const double x0 = size / 2.0 + way * (dx + dy * scene.slant),
                 y0 = size / 2.0 + way * (dy + dx * scene.slant);
    for (int p = 0; p < size * size; ++p) {
      const double share = covered(scene, p % size + 0.5 - x0, p / size + 0.5 - y0, scene.radius * size);
      for (std::size_t c = 0; c < 3; ++c) {
        const double value = back[c] + (colour[c] - back[c]) * share + noise(random);
        drawing.rgb.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)));
      }
    }
  }
  return drawing;
}

std::string name_of(const Scene& scene) {
  return std::string(kColours[scene.colour].name) + " " + std::string(kShapes[scene.shape]) + " " +
         std::string(kDirections[scene.direction].name) + " " +
         std::string(kBackgrounds[scene.background].name);
}

std::string name_of(const Sighting& seen) {
  return std::string(seen.colour) + " " + std::string(seen.shape) + " " + std::string(seen.direction) + " " +
         std::string(seen.background);
}

TEST(DemoJudge, NamesEveryCombinationAt64) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> radius(0.133, 0.203), travel(0.275, 0.475);
  for (std::size_t i = 0; i < 216; ++i) {
    const Scene scene{.colour = i % 6,
                      .shape = i / 6 % 3,
                      .direction = i / 18 % 4,
                      .background = i / 72,
                      .radius = radius(random),
                      .travel = travel(random)};
    const auto seen = judge(draw(scene, 64, 9, static_cast<unsigned>(i)).clip());
    EXPECT_EQ(name_of(seen), name_of(scene));
    EXPECT_GT(seen.overlap[scene.shape], 0.93);  // outline pixels are drawn by another rule
  }
}

TEST(DemoJudge, NamesCombinationsAt128) {
  for (std::size_t i = 0; i < 216; i += 31) {
    const Scene scene{.colour = i % 6, .shape = i / 6 % 3, .direction = i / 18 % 4, .background = i / 72};
    EXPECT_EQ(name_of(judge(draw(scene, 128, 17).clip())), name_of(scene));
  }
}

TEST(DemoJudge, SoftOutlinesStayTheirShapeWithASmallerOverlap) {
  for (std::size_t shape = 0; shape < 3; ++shape) {
    const auto sharp = judge(draw({.shape = shape}, 64, 9).clip());
    const auto soft = judge(draw({.shape = shape, .softness = 5}, 64, 9).clip());
    EXPECT_EQ(soft.shape, kShapes[shape]);
    EXPECT_LT(soft.overlap[shape], sharp.overlap[shape]);
  }
}

TEST(DemoJudge, AnObjectOfTooFewFramesIsNone) {
  Drawing drawing = draw({.shape = 1}, 64, 9);
  const Drawing empty = draw({.radius = 0.01}, 64, 9);
  std::copy_n(empty.rgb.begin(), drawing.rgb.size() / 9 * 4, drawing.rgb.begin());
  const auto seen = judge(drawing.clip());
  EXPECT_EQ(seen.frames, 5);
  EXPECT_TRUE(seen.colour.empty() && seen.shape.empty() && seen.direction.empty());
  EXPECT_EQ(seen.overlap, (std::array<double, 3>{}));
}

TEST(DemoJudge, SeesNoObjectInAnEmptyClip) {
  const auto seen = judge(draw({.background = 2, .radius = 0.01}, 64, 9).clip());
  EXPECT_EQ(seen.background, "grey");
  EXPECT_EQ(seen.frames, 0);
  EXPECT_TRUE(seen.colour.empty() && seen.shape.empty() && seen.direction.empty());
}

TEST(DemoJudge, SeesNoDirectionInAStillOrASlantingObject) {
  EXPECT_EQ(judge(draw({.travel = 0.05}, 64, 9).clip()).direction, "");
  EXPECT_EQ(judge(draw({.slant = 0.8}, 64, 9).clip()).direction, "");
  EXPECT_EQ(judge(draw({.slant = 0.3}, 64, 9).clip()).direction, "left");
}

TEST(DemoJudge, WritesNullForWhatItDoesNotSee) {
  const auto json = to_json(judge(draw({.travel = 0.05}, 64, 9).clip()));
  EXPECT_NE(json.find(R"("direction":null)"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("colour":"red")"), std::string::npos) << json;
}

TEST(DemoJudge, RefusesClipsThatAreTooSmallToJudge) {
  EXPECT_THROW(judge(draw({}, 64, 2).clip()), std::invalid_argument);
  EXPECT_THROW(judge(draw({}, 31, 9).clip()), std::invalid_argument);
}

}  // namespace
}  // namespace ferry::testing
