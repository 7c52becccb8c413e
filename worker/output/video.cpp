#include "worker/output/video.h"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "worker/output/mp4.h"
#include "worker/output/y4m.h"

namespace ferry::worker {

VideoCodec choose_codec(const VideoFormat& format, const std::string& wanted) {
  if (wanted != ".y4m") {
    for (const std::string& encoder : mp4_encoders()) {
      if (mp4_encoder_opens(encoder, format)) return {encoder, ".mp4"};
    }
  }
  return {"y4m", ".y4m"};
}

std::unique_ptr<VideoEncoder> open_encoder(const VideoFormat& format, const VideoCodec& codec,
                                           FrameDone frame_done) {
  if (format.fps <= 0) throw std::invalid_argument(fmt::format("open_encoder: {} fps", format.fps));
  return codec.encoder == "y4m" ? open_y4m(format, std::move(frame_done))
                                : open_mp4(format, codec.encoder, std::move(frame_done));
}

}  // namespace ferry::worker
