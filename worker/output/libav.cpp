// MP4 in memory through libavcodec and libavformat.
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
}

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "base/error.h"
#include "worker/output/mp4.h"
#include "worker/output/yuv.h"

namespace ferry::worker {
namespace {

int checked(int code, const char* what) {
  if (code >= 0) return code;
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  throw Error(fmt::format("libav: {}: {}", what, text));
}

template <class T>
T* checked(T* pointer, const char* what) {
  if (pointer == nullptr) throw Error(fmt::format("libav: {} failed", what));
  return pointer;
}

struct FreeCodec {
  void operator()(AVCodecContext* codec) const { avcodec_free_context(&codec); }
};
struct FreeFrame {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
// Also frees the memory file unless it has been taken.
struct FreeMuxer {
  void operator()(AVFormatContext* muxer) const {
    if (muxer->pb != nullptr) {
      std::uint8_t* rest = nullptr;
      avio_close_dyn_buf(muxer->pb, &rest);
      av_free(rest);
    }
    avformat_free_context(muxer);
  }
};
using Codec = std::unique_ptr<AVCodecContext, FreeCodec>;
using Muxer = std::unique_ptr<AVFormatContext, FreeMuxer>;
using Frame = std::unique_ptr<AVFrame, FreeFrame>;

int even(int extent) { return extent + extent % 2; }

// Each encoder family has its own quality setting.
void set_quality(AVCodecContext& codec, const VideoFormat& format) {
  const std::string name = codec.codec->name;
  if (name == "libx264") {
    av_opt_set_int(codec.priv_data, "crf", format.crf, 0);
  } else if (name == "mpeg4") {
    codec.flags |= AV_CODEC_FLAG_QSCALE;
    codec.global_quality = FF_QP2LAMBDA * 2;
  } else {
    codec.bit_rate = static_cast<std::int64_t>(0.3 * codec.width * codec.height * format.fps);
  }
}

// `threads`: 0: as many as the encoder likes.
Codec open_codec(const std::string& encoder, const VideoFormat& format, int threads = 0) {
  const AVCodec* found = checked(avcodec_find_encoder_by_name(encoder.c_str()), encoder.c_str());
  Codec codec(checked(avcodec_alloc_context3(found), "avcodec_alloc_context3"));
  codec->log_level_offset = AV_LOG_DEBUG - AV_LOG_INFO;  // encoders log to stderr at level info
  codec->width = even(format.width * format.scale);
  codec->height = even(format.height * format.scale);
  codec->framerate = av_d2q(format.fps, 60000);
  codec->time_base = av_inv_q(codec->framerate);
  codec->sample_aspect_ratio = {1, 1};
  codec->pix_fmt = AV_PIX_FMT_YUV420P;
  codec->color_range = AVCOL_RANGE_MPEG;
  codec->color_primaries = AVCOL_PRI_BT709;
  codec->color_trc = AVCOL_TRC_BT709;
  codec->colorspace = AVCOL_SPC_BT709;
  codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  set_quality(*codec, format);
  if (threads > 0) codec->thread_count = threads;
  checked(avcodec_open2(codec.get(), found, nullptr), "avcodec_open2");
  return codec;
}

Muxer open_muxer(const AVCodecContext& codec) {
  AVFormatContext* raw = nullptr;
  checked(avformat_alloc_output_context2(&raw, nullptr, "mp4", nullptr), "avformat_alloc_output_context2");
  Muxer muxer(raw);
  AVStream* stream = checked(avformat_new_stream(raw, nullptr), "avformat_new_stream");
  checked(avcodec_parameters_from_context(stream->codecpar, &codec), "avcodec_parameters_from_context");
  stream->time_base = codec.time_base;
  stream->avg_frame_rate = codec.framerate;
  checked(avio_open_dyn_buf(&raw->pb), "avio_open_dyn_buf");
  checked(avformat_write_header(raw, nullptr), "avformat_write_header");
  return muxer;
}

Frame frame_for(const AVCodecContext& codec) {
  Frame frame(checked(av_frame_alloc(), "av_frame_alloc"));
  frame->format = codec.pix_fmt;
  frame->width = codec.width;
  frame->height = codec.height;
  checked(av_frame_get_buffer(frame.get(), 0), "av_frame_get_buffer");
  return frame;
}

void copy_plane(AVFrame& frame, int plane, const std::vector<std::uint8_t>& from, int width) {
  const int rows = static_cast<int>(from.size()) / width;
  for (int row = 0; row < rows; ++row) {
    std::memcpy(frame.data[plane] + static_cast<std::ptrdiff_t>(row) * frame.linesize[plane],
                from.data() + static_cast<std::ptrdiff_t>(row) * width, static_cast<std::size_t>(width));
  }
}

// Writes all packets that the encoder has ready.
void drain(AVCodecContext& codec, AVFormatContext& muxer, const FrameDone& frame_done) {
  const std::unique_ptr<AVPacket, FreePacket> packet(checked(av_packet_alloc(), "av_packet_alloc"));
  for (;;) {
    const int code = avcodec_receive_packet(&codec, packet.get());
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
    checked(code, "avcodec_receive_packet");
    packet->duration = 1;
    av_packet_rescale_ts(packet.get(), codec.time_base, muxer.streams[0]->time_base);
    checked(av_interleaved_write_frame(&muxer, packet.get()), "av_interleaved_write_frame");
    frame_done();
  }
}

void encode_frame(AVCodecContext& codec, AVFrame& frame, const Image& image) {
  const Yuv420 planes = to_yuv420(image.view(), Matrix::Bt709);
  checked(av_frame_make_writable(&frame), "av_frame_make_writable");
  copy_plane(frame, 0, planes.y, planes.width);
  copy_plane(frame, 1, planes.u, planes.width / 2);
  copy_plane(frame, 2, planes.v, planes.width / 2);
  checked(avcodec_send_frame(&codec, &frame), "avcodec_send_frame");
}

std::string take_bytes(AVFormatContext& muxer) {
  std::uint8_t* bytes = nullptr;
  const int size = avio_close_dyn_buf(muxer.pb, &bytes);
  muxer.pb = nullptr;
  std::string file(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  av_free(bytes);
  return file;
}

class Mp4 final : public VideoEncoder {
 public:
  Mp4(const VideoFormat& format, const std::string& encoder, FrameDone frame_done)
      : scale_(format.scale),
        frame_done_(std::move(frame_done)),
        codec_(open_codec(encoder, format)),
        muxer_(open_muxer(*codec_)),
        frame_(frame_for(*codec_)) {}

  void take(const ImageView& image) override {
    frame_->pts = taken_++;
    encode_frame(*codec_, *frame_, pad_to_even(enlarge(image, scale_).view()));
    frame_done_();
    drain(*codec_, *muxer_, frame_done_);
  }
  std::string finish() override {
    checked(avcodec_send_frame(codec_.get(), nullptr), "avcodec_send_frame");
    // The encoder may have delayed many frames.
    drain(*codec_, *muxer_, frame_done_);
    checked(av_write_trailer(muxer_.get()), "av_write_trailer");
    return take_bytes(*muxer_);
  }

 private:
  int scale_;
  FrameDone frame_done_;
  Codec codec_;
  Muxer muxer_;
  Frame frame_;
  std::int64_t taken_ = 0;
};

}  // namespace

std::vector<std::string> mp4_encoders() {
  std::vector<std::string> found;
  for (const char* name : {"libx264", "libopenh264", "h264_nvenc", "h264_v4l2m2m", "mpeg4"}) {
    if (avcodec_find_encoder_by_name(name) != nullptr) found.emplace_back(name);
  }
  return found;
}

bool mp4_encoder_opens(const std::string& encoder, const VideoFormat& format) {
  try {
    open_codec(encoder, format, 1);  // threads and frames for each of many cores take most of the time
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::unique_ptr<VideoEncoder> open_mp4(const VideoFormat& format, const std::string& encoder,
                                       FrameDone frame_done) {
  return std::make_unique<Mp4>(format, encoder, std::move(frame_done));
}

}  // namespace ferry::worker
