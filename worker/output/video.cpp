#include "worker/output/video.h"

#include <fmt/format.h>

#include <stdexcept>

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

std::string encode_video(const Clip& clip, const VideoFormat& format, const VideoCodec& codec,
                         const FrameDone& frame_done) {
  if (clip.width != format.width || clip.height != format.height || clip.frames < 1 || format.fps <= 0) {
    throw std::invalid_argument(fmt::format("encode_video: {} frames of {}x{} for {}x{} at {} fps",
                                            clip.frames, clip.width, clip.height, format.width, format.height,
                                            format.fps));
  }
  return codec.encoder == "y4m" ? y4m_bytes(clip, format, frame_done)
                                : mp4_bytes(clip, format, codec.encoder, frame_done);
}

}  // namespace ferry::worker
