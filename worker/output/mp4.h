// MP4 through libav (libav.cpp), or not at all (no_libav.cpp); CMake picks the file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/output/video.h"

namespace ferry::worker {

// Encoders of the libav that is linked, best first; empty without libav.
std::vector<std::string> mp4_encoders();

// True when the encoder opens for this size and rate (one for hardware that is not there does not).
bool mp4_encoder_opens(const std::string& encoder, const VideoFormat& format);

// BT.709, limited range, and the file says so.  Throws Error when libav refuses or is not there.
std::unique_ptr<VideoEncoder> open_mp4(const VideoFormat& format, const std::string& encoder,
                                       FrameDone frame_done);

}  // namespace ferry::worker
