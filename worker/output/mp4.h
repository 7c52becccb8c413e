// MP4 through libav (libav.cpp), or not at all (no_libav.cpp); CMake selects the file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/output/video.h"

namespace ferry::worker {

// Encoders of the linked libav, best first; empty without libav.
std::vector<std::string> mp4_encoders();

// True if the encoder opens for this size and rate (hardware encoders may not).
bool mp4_encoder_opens(const std::string& encoder, const VideoFormat& format);

// BT.709, limited range, marked as such in the file.  Throws Error if libav fails or is missing.
std::unique_ptr<VideoEncoder> open_mp4(const VideoFormat& format, const std::string& encoder,
                                       FrameDone frame_done);

}  // namespace ferry::worker
