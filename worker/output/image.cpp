#include "worker/output/image.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/error.h"

namespace ferry::worker {
namespace {

Image make_image(int width, int height) {
  return {width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width) * height * 3)};
}

const std::uint8_t* pixel(const ImageView& image, int x, int y) {
  return image.rgb + (static_cast<std::size_t>(y) * image.width + x) * 3;
}

std::uint8_t* pixel(Image& image, int x, int y) {
  return image.rgb.data() + (static_cast<std::size_t>(y) * image.width + x) * 3;
}

int average(const ImageView& image, int left, int top, int factor, int channel) {
  int sum = 0;
  for (int y = 0; y < factor; ++y) {
    for (int x = 0; x < factor; ++x) sum += pixel(image, left + x, top + y)[channel];
  }
  const int count = factor * factor;
  return (sum + count / 2) / count;
}

}  // namespace

Image enlarge(const ImageView& image, int factor) {
  if (factor < 1)
    throw std::invalid_argument(fmt::format("enlarge: factor {}, at least 1 is needed", factor));
  Image large = make_image(image.width * factor, image.height * factor);
  for (int y = 0; y < large.height; ++y) {
    for (int x = 0; x < large.width; ++x) {
      std::memcpy(pixel(large, x, y), pixel(image, x / factor, y / factor), 3);
    }
  }
  return large;
}

Image reduce(const ImageView& image, int factor) {
  if (factor < 1 || factor > std::min(image.width, image.height)) {
    throw std::invalid_argument(
        fmt::format("reduce: factor {} for a picture of {}x{}", factor, image.width, image.height));
  }
  Image small = make_image(image.width / factor, image.height / factor);
  for (int y = 0; y < small.height; ++y) {
    for (int x = 0; x < small.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        pixel(small, x, y)[c] = static_cast<std::uint8_t>(average(image, x * factor, y * factor, factor, c));
      }
    }
  }
  return small;
}

Image pad_to_even(const ImageView& image) {
  Image even = make_image(image.width + image.width % 2, image.height + image.height % 2);
  for (int y = 0; y < even.height; ++y) {
    const int from = std::min(y, image.height - 1);
    std::memcpy(pixel(even, 0, y), pixel(image, 0, from), static_cast<std::size_t>(image.width) * 3);
    if (even.width > image.width)
      std::memcpy(pixel(even, image.width, y), pixel(image, image.width - 1, from), 3);
  }
  return even;
}

std::string png_bytes(const ImageView& image) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.format = PNG_FORMAT_RGB;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string file(bytes, '\0');
  if (png_image_write_to_memory(&header, file.data(), &bytes, 0, image.rgb, 0, nullptr) == 0) {
    throw Error(fmt::format("libpng: {}", header.message));
  }
  file.resize(bytes);
  return file;
}

}  // namespace ferry::worker
