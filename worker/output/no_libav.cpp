// For builds without libav: video files are Y4M.
#include "base/error.h"
#include "worker/output/mp4.h"

namespace ferry::worker {

std::vector<std::string> mp4_encoders() { return {}; }

bool mp4_encoder_opens(const std::string&, const VideoFormat&) { return false; }

std::unique_ptr<VideoEncoder> open_mp4(const VideoFormat&, const std::string& encoder, FrameDone) {
  throw Error("no MP4 encoder " + encoder + ": built without libav");
}

}  // namespace ferry::worker
