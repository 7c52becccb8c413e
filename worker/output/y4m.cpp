#include "worker/output/y4m.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

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

class Y4m final : public VideoEncoder {
 public:
  Y4m(const VideoFormat& format, FrameDone frame_done)
      : format_(format), frame_done_(std::move(frame_done)) {}

  void take(const ImageView& frame) override {
    const Image image = pad_to_even(enlarge(frame, format_.scale).view());
    if (file_.empty()) {
      file_ = fmt::format("YUV4MPEG2 W{} H{} F{} Ip A1:1 C420jpeg\n", image.width, image.height,
                          ratio(format_.fps));
    }
    const Yuv420 planes = to_yuv420(image.view(), Matrix::Bt601);
    file_ += "FRAME\n";
    append(file_, planes.y);
    append(file_, planes.u);
    append(file_, planes.v);
    frame_done_();
  }
  std::string finish() override { return std::move(file_); }

 private:
  VideoFormat format_;
  FrameDone frame_done_;
  std::string file_;
};

}  // namespace

std::unique_ptr<VideoEncoder> open_y4m(const VideoFormat& format, FrameDone frame_done) {
  return std::make_unique<Y4m>(format, std::move(frame_done));
}

}  // namespace ferry::worker
