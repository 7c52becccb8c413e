// Encodes frames as a video file: H.264 in MP4 if libav has an encoder for it, else MPEG-4 part 2 in MP4,
// else uncompressed Y4M. Always 8-bit 4:2:0.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "worker/output/image.h"

namespace ferry::worker {

struct VideoFormat {
  int width = 0;  // of the input frames
  int height = 0;
  double fps = 16;
  int crf = 10;   // H.264 constant rate factor: 0 lossless .. 51; Wan's own writer uses 10
  int scale = 1;  // nearest-neighbour enlargement of small clips for viewing
};

// The output format, decided before any work is done.
struct VideoCodec {
  std::string encoder;    // "libx264", "mpeg4", "y4m"
  std::string extension;  // ".mp4", ".y4m"
};

// The best encoder that opens for this format on this node.  `wanted` is the requested extension: ".y4m"
// always means Y4M, anything else MP4 if available.
VideoCodec choose_codec(const VideoFormat& format, const std::string& wanted);

// Called at least once per frame, for heartbeats: encoding may exceed the other ranks' deadline.
using FrameDone = std::function<void()>;

// Odd extents are padded by repeating a row or column.  Both calls throw Error if the encoder fails.
class VideoEncoder {
 public:
  virtual ~VideoEncoder() = default;
  // Adds a frame.
  virtual void take(const ImageView& frame) = 0;
  // Call after the last frame; returns the bytes of the file.
  virtual std::string finish() = 0;
};

// `frame_done` is called on the thread that calls the encoder.
// Throws std::invalid_argument unless fps is positive, Error if the encoder does not open.
std::unique_ptr<VideoEncoder> open_encoder(const VideoFormat& format, const VideoCodec& codec,
                                           FrameDone frame_done);

}  // namespace ferry::worker
