// Frames and pictures in host memory as interleaved 8-bit RGB, the format of all writers in this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ferry::worker {

// A picture owned elsewhere: [height, width, 3] uint8, contiguous.
struct ImageView {
  const std::uint8_t* rgb = nullptr;
  int width = 0;
  int height = 0;
};

// A picture that owns its pixels.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;  // [height, width, 3]

  ImageView view() const { return {rgb.data(), width, height}; }
};

// Frames owned elsewhere: [frames, height, width, 3] uint8, contiguous.
struct Clip {
  const std::uint8_t* rgb = nullptr;
  int frames = 0;
  int width = 0;
  int height = 0;

  ImageView frame(int i) const {
    return {rgb + static_cast<std::size_t>(i) * static_cast<std::size_t>(width) * height * 3, width, height};
  }
};

// Every pixel becomes factor x factor pixels (nearest neighbour).  Throws std::invalid_argument unless
// factor >= 1.
Image enlarge(const ImageView& image, int factor);

// Each factor x factor square becomes its average, rounded to nearest; the remainder at the right and lower
// border is dropped.  Throws std::invalid_argument unless 1 <= factor <= both extents.
Image reduce(const ImageView& image, int factor);

// Repeats the last column and row until both extents are even, which 4:2:0 video needs.
Image pad_to_even(const ImageView& image);

// Encodes as PNG. Throws Error if libpng fails.
std::string png_bytes(const ImageView& image);

}  // namespace ferry::worker
