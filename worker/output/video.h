// Frames to a video file: H.264 in MP4 where libav has an encoder for it, else MPEG-4 part 2 in MP4, else
// uncompressed Y4M.  8-bit 4:2:0 in every case.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "worker/output/image.h"

namespace ferry::worker {

struct VideoFormat {
  int width = 0;  // of the frames that come in
  int height = 0;
  double fps = 16;
  int crf = 10;   // H.264 constant rate factor: 0 lossless .. 51; 10 is what Wan's own writer uses
  int scale = 1;  // each pixel becomes scale x scale (nearest), so that small clips can be looked at
};

// What will be written, decided before any work is done.
struct VideoCodec {
  std::string encoder;    // "libx264", "mpeg4", "y4m"
  std::string extension;  // ".mp4", ".y4m"
};

// The best encoder that opens for this format on this machine.  `wanted` is the extension the user asked
// for: ".y4m" always means Y4M; anything else means MP4 where it can be had.
VideoCodec choose_codec(const VideoFormat& format, const std::string& wanted);

// Called at least once for each frame: encoding may take longer than others wait for a sign of life.
using FrameDone = std::function<void()>;

// Odd extents are padded by one repeated row or column.  Both calls throw Error when the encoder fails.
class VideoEncoder {
 public:
  virtual ~VideoEncoder() = default;
  // The next frame.
  virtual void take(const ImageView& frame) = 0;
  // After the last: the bytes of the file.
  virtual std::string finish() = 0;
};

// `frame_done` is called on the thread that calls the encoder.
// Throws std::invalid_argument when fps is not positive, Error when the encoder does not open.
std::unique_ptr<VideoEncoder> open_encoder(const VideoFormat& format, const VideoCodec& codec,
                                           FrameDone frame_done);

}  // namespace ferry::worker
