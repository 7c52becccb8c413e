// The contact sheet: a grid of frames of a clip, for a person to look at.
#pragma once

#include <vector>

#include "worker/output/image.h"

namespace ferry::worker {

// `count` frame indices spread evenly over [0, frames), first and last included; all of them if there are no
// more than `count`.  Throws std::invalid_argument unless both are at least 1.
std::vector<int> evenly_chosen(int frames, int count);

// Up to `count` frames in rows, left to right, with thin grey gaps.  Frames narrower than 160 pixels are
// enlarged (nearest neighbour) and frames wider than 256 reduced, both by a whole factor.
Image contact_sheet(const Clip& clip, int count = 12);

}  // namespace ferry::worker
