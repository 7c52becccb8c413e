// Says what a clip of the small model shows, by classical image processing: no learned model, and no
// knowledge of the prompt.  Its rules were fixed before the model in models/demo was trained:
//
//   background  the median of the border pixels of all frames, the nearest of kBackgrounds
//   object      in each frame, the pixels that differ from the background by more than half of the frame's
//               98.5th percentile of difference (Euclidean in RGB), and by more than 35
//   colour      the median of the object's core (over 85 % of that percentile), over the frames; nearest of
//   kColours shape       the object as soft coverage against circle, square and triangle of every radius from
//   0.10 to
//               0.24 of the frame, centred on its centre of mass: the shape whose best IoU, averaged over the
//               frames, is highest
//   direction   a straight line through the object's centres of mass over time; none when it travels less
//               than 0.0875 of the frame from first to last frame, or not clearly along one axis
//
// An object counts when it covers 1 % of the frame in at least two thirds of the frames.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "tests/support/demo_world.h"
#include "worker/output/image.h"

namespace ferry::testing {

struct Sighting {
  std::string_view background;
  std::string_view colour;          // empty without an object
  std::string_view shape;           // likewise
  std::string_view direction;       // empty without an object, or when it has no clear one
  Rgb rgb{};                        // of the object
  std::array<double, 3> overlap{};  // mean IoU with each of kShapes, 0 .. 1
  std::array<double, 2> travel{};   // of the fitted line from first to last frame: x, y in pixels
  int frames = 0;                   // in which the object was found
};

// `clip` has at least three frames of at least 32x32; else std::invalid_argument.
Sighting judge(const worker::Clip& clip);

// One JSON object in one line; what was not found is null.
std::string to_json(const Sighting& sighting);

}  // namespace ferry::testing
