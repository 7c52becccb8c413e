// RGB to planar Y'CbCr 4:2:0, limited range (ITU-R BT.601 and BT.709), as video encoders expect.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/output/image.h"

namespace ferry::worker {

enum class Matrix : std::uint8_t { Bt601, Bt709 };

struct Yuv420 {
  int width = 0;  // of the luma plane, even
  int height = 0;
  std::vector<std::uint8_t> y;  // [height, width]
  std::vector<std::uint8_t> u;  // [height / 2, width / 2], the mean of four pixels
  std::vector<std::uint8_t> v;
};

// Throws std::invalid_argument unless both extents are even (pad_to_even).
Yuv420 to_yuv420(const ImageView& image, Matrix matrix);

}  // namespace ferry::worker
