// YUV4MPEG2, the uncompressed stream that all video tools read (mjpegtools, yuv4mpeg(5)).
#pragma once

#include <memory>

#include "worker/output/video.h"

namespace ferry::worker {

// "YUV4MPEG2 W.. H.. F<n>:<d> Ip A1:1 C420jpeg\n", then "FRAME\n" and the planes Y, U, V of each frame;
// BT.601, which readers assume for an unmarked file.
std::unique_ptr<VideoEncoder> open_y4m(const VideoFormat& format, FrameDone frame_done);

}  // namespace ferry::worker
