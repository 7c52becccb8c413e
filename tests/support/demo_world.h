// What the small model of models/demo was taught to draw: one coloured shape that moves over a plain
// background. The same numbers as tools/demo_model/world.py, which drew what it was trained on.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace ferry::testing {

using Rgb = std::array<double, 3>;  // 0 .. 255

struct NamedColour {
  std::string_view name;
  Rgb rgb;
};

struct NamedDirection {
  std::string_view name;
  double dx;  // of one step; y grows downwards
  double dy;
};

inline constexpr std::array<NamedColour, 6> kColours = {{{"red", {225, 30, 35}},
                                                         {"green", {30, 170, 60}},
                                                         {"blue", {35, 80, 235}},
                                                         {"yellow", {250, 225, 40}},
                                                         {"purple", {150, 40, 175}},
                                                         {"orange", {250, 125, 10}}}};
inline constexpr std::array<NamedColour, 3> kBackgrounds = {
    {{"black", {10, 10, 10}}, {"white", {245, 245, 245}}, {"grey", {128, 128, 128}}}};
inline constexpr std::array<std::string_view, 3> kShapes = {"circle", "square", "triangle"};
inline constexpr std::array<NamedDirection, 4> kDirections = {
    {{"left", -1, 0}, {"right", 1, 0}, {"up", 0, -1}, {"down", 0, 1}}};

// Where the triangle's centre of mass lies below its middle, in radii.
inline constexpr double kTriangleDrop = 0.95 / 3;

// How much of the pixel at (x, y) from the middle of shape `shape` (index into kShapes) of that radius is
// covered, 0 .. 1: half a pixel either side of the outline.  All in pixels.
inline double coverage(std::size_t shape, double x, double y, double radius) {
  double outside = 0;  // distance from the outline, negative within
  if (shape == 0) {
    outside = std::hypot(x, y) - radius;
  } else if (shape == 1) {
    outside = std::max(std::abs(x), std::abs(y)) - 0.9 * radius;
  } else {
    const double below_apex = y + 0.95 * radius;
    outside = std::max(y - 0.95 * radius, (2 * std::abs(x) - below_apex) / std::sqrt(5.0));
  }
  return std::clamp(0.5 - outside, 0.0, 1.0);
}

}  // namespace ferry::testing
