#include "worker/output/yuv.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <stdexcept>

namespace ferry::worker {
namespace {

struct Weights {
  double red, green, blue;  // luma weights; sum 1
};

Weights luma_weights(Matrix matrix) {
  return matrix == Matrix::Bt601 ? Weights{0.299, 0.587, 0.114} : Weights{0.2126, 0.7152, 0.0722};
}

// Limited range: luma 16..235, chroma 16..240 around 128.
std::uint8_t quantise(double value) { return static_cast<std::uint8_t>(std::lround(value)); }

double luma(const Weights& w, const double* rgb) {
  return w.red * rgb[0] + w.green * rgb[1] + w.blue * rgb[2];
}

std::array<double, 3> mean_of_square(const ImageView& image, int x, int y) {
  std::array<double, 3> mean{};
  for (int corner = 0; corner < 4; ++corner) {
    const std::size_t row = static_cast<std::size_t>(y) + corner / 2;
    const std::uint8_t* p = image.rgb + (row * image.width + x + corner % 2) * 3;
    for (int c = 0; c < 3; ++c) mean[c] += p[c] / 4.0;
  }
  return mean;
}

}  // namespace

Yuv420 to_yuv420(const ImageView& image, Matrix matrix) {
  if (image.width % 2 != 0 || image.height % 2 != 0) {
    throw std::invalid_argument(fmt::format("to_yuv420: {}x{} is not even", image.width, image.height));
  }
  const Weights w = luma_weights(matrix);
  Yuv420 out{.width = image.width, .height = image.height, .y = {}, .u = {}, .v = {}};
  const std::size_t pixels = static_cast<std::size_t>(image.width) * image.height;
  out.y.resize(pixels);
  for (std::size_t i = 0; i < pixels; ++i) {
    const std::array<double, 3> rgb{double(image.rgb[i * 3]), double(image.rgb[i * 3 + 1]),
                                    double(image.rgb[i * 3 + 2])};
    out.y[i] = quantise(16 + luma(w, rgb.data()) * 219 / 255);
  }
  for (int y = 0; y < image.height; y += 2) {
    for (int x = 0; x < image.width; x += 2) {
      const std::array<double, 3> rgb = mean_of_square(image, x, y);
      const double grey = luma(w, rgb.data());
      out.u.push_back(quantise(128 + (rgb[2] - grey) / (1 - w.blue) / 2 * 224 / 255));
      out.v.push_back(quantise(128 + (rgb[0] - grey) / (1 - w.red) / 2 * 224 / 255));
    }
  }
  return out;
}

}  // namespace ferry::worker
