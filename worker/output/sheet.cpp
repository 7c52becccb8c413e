#include "worker/output/sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace ferry::worker {
namespace {

constexpr int kGap = 4;
constexpr std::uint8_t kGapGrey = 96;  // distinct from black, white and most frames
constexpr int kLeastWidth = 160;
constexpr int kMostWidth = 256;

Image tile_of(const ImageView& frame) {
  if (frame.width < kLeastWidth) return enlarge(frame, (kLeastWidth + frame.width - 1) / frame.width);
  const int factor =
      std::min((frame.width + kMostWidth - 1) / kMostWidth, std::min(frame.width, frame.height));
  return reduce(frame, factor);
}

void paste(Image& sheet, const Image& tile, int left, int top) {
  for (int y = 0; y < tile.height; ++y) {
    std::memcpy(&sheet.rgb[(static_cast<std::size_t>(top + y) * sheet.width + left) * 3],
                &tile.rgb[static_cast<std::size_t>(y) * tile.width * 3],
                static_cast<std::size_t>(tile.width) * 3);
  }
}

}  // namespace

std::vector<int> evenly_chosen(int frames, int count) {
  if (frames < 1 || count < 1) {
    throw std::invalid_argument(fmt::format("evenly_chosen: {} of {} frames", count, frames));
  }
  const int chosen = std::min(frames, count);
  std::vector<int> numbers;
  for (int i = 0; i < chosen; ++i) {
    numbers.push_back(chosen == 1 ? 0 : (i * (frames - 1) + (chosen - 1) / 2) / (chosen - 1));
  }
  return numbers;
}

Image contact_sheet(const Clip& clip, int count) {
  const std::vector<int> numbers = evenly_chosen(clip.frames, count);
  const int tiles = static_cast<int>(numbers.size());
  const int columns = tiles <= 3 ? tiles : static_cast<int>(std::ceil(std::sqrt(tiles)));
  const int rows = (tiles + columns - 1) / columns;
  Image sheet;
  for (int i = 0; i < tiles; ++i) {
    const Image tile = tile_of(clip.frame(numbers[i]));
    if (i == 0) {
      sheet.width = columns * (tile.width + kGap) + kGap;
      sheet.height = rows * (tile.height + kGap) + kGap;
      sheet.rgb.assign(static_cast<std::size_t>(sheet.width) * sheet.height * 3, kGapGrey);
    }
    paste(sheet, tile, kGap + (i % columns) * (tile.width + kGap),
          kGap + (i / columns) * (tile.height + kGap));
  }
  return sheet;
}

}  // namespace ferry::worker
