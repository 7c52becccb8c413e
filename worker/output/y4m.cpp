#include "worker/output/y4m.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <string_view>

#include "worker/output/yuv.h"

namespace ferry::worker {
namespace {

void append(std::string& file, const std::vector<std::uint8_t>& plane) {
  file.append(reinterpret_cast<const char*>(plane.data()), plane.size());
}

std::string ratio(double fps) {
  const long thousandths = std::lround(fps * 1000);
  const long common = std::gcd(thousandths, 1000L);
  return fmt::format("{}:{}", thousandths / common, 1000 / common);
}

}  // namespace

std::string y4m_bytes(const Clip& clip, const VideoFormat& format, const FrameDone& frame_done) {
  std::string file;
  for (int i = 0; i < clip.frames; ++i) {
    const Image image = pad_to_even(enlarge(clip.frame(i), format.scale).view());
    if (i == 0) {
      file = fmt::format("YUV4MPEG2 W{} H{} F{} Ip A1:1 C420jpeg\n", image.width, image.height,
                         ratio(format.fps));
    }
    const Yuv420 planes = to_yuv420(image.view(), Matrix::Bt601);
    file += "FRAME\n";
    append(file, planes.y);
    append(file, planes.u);
    append(file, planes.v);
    frame_done();
  }
  return file;
}

}  // namespace ferry::worker
