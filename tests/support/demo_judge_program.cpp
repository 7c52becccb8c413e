// demo_judge FILE...: what the clips in these files show, a line of JSON for each clip (demo_judge.h).
// A file holds `frames`, uint8 [F, H, W, 3], as `ferry generate --save` writes it, or `clips`, [N, F, H, W,
// 3].

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <stdexcept>

#include "checkpoint/formats/safetensors.h"
#include "tests/support/demo_judge.h"

namespace {

void judge_file(const std::string& path) {
  const auto file = ferry::checkpoint::SafetensorsFile::open(path);
  const auto* clips = file.find("clips");
  const auto& tensor = clips != nullptr ? *clips : file.at("frames");
  const std::size_t first = clips != nullptr ? 1 : 0;
  if (tensor.dtype != ferry::DType::U8 || tensor.shape.size() != first + 4 || tensor.shape.back() != 3) {
    throw std::invalid_argument(fmt::format("{}: not uint8 [F, H, W, 3]", path));
  }
  const auto extent = [&](std::size_t i) { return static_cast<int>(tensor.shape[first + i]); };
  ferry::worker::Clip clip{.rgb = reinterpret_cast<const std::uint8_t*>(tensor.data),
                           .frames = extent(0),
                           .width = extent(2),
                           .height = extent(1)};
  const auto bytes = static_cast<std::size_t>(clip.frames) * static_cast<std::size_t>(clip.width) *
                     static_cast<std::size_t>(clip.height) * 3;
  const std::int64_t count = clips != nullptr ? tensor.shape[0] : 1;
  for (std::int64_t i = 0; i < count; ++i, clip.rgb += bytes) {
    fmt::print("{}\n", ferry::testing::to_json(ferry::testing::judge(clip)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 2) throw std::invalid_argument("usage: demo_judge FILE.safetensors...");
    for (int i = 1; i < argc; ++i) judge_file(argv[i]);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "demo_judge: {}\n", error.what());
    return 2;
  }
}
