// The thread that encodes while frames are made.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "worker/output/encoding.h"
#include "worker/output/frames.h"

namespace ferry::worker {
namespace {

constexpr int kFrames = 13;
const VideoFormat kFormat{.width = 64, .height = 48};

// [13, 48, 64, 3], no two frames alike.
at::Tensor frames() {
  const at::Tensor ramp = at::arange(static_cast<std::int64_t>(kFrames) * 48 * 64 * 3, at::kLong);
  return ((ramp * 7 + ramp / 9216 * 31) % 251).to(at::kByte).view({kFrames, 48, 64, 3});
}

std::string at_once(const at::Tensor& rgb, const VideoCodec& codec) {
  const std::unique_ptr<VideoEncoder> encoder = open_encoder(kFormat, codec, [] {});
  const Clip clip = clip_of(rgb);
  for (int i = 0; i < clip.frames; ++i) encoder->take(clip.frame(i));
  return encoder->finish();
}

// Waits, but not for ever.
bool comes_true(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// libx264 0.164 does not always make the same file of the same frames; there the sizes are compared.
TEST(Encoding, GivesTheFileOfAllFramesAtOnceHoweverTheyCome) {
  const at::Tensor rgb = frames();
  for (const char* wanted : {".y4m", ".mp4"}) {
    const VideoCodec codec = choose_codec(kFormat, wanted);
    const std::string expected = at_once(rgb, codec);
    for (const int step : {1, 4, kFrames}) {
      Encoding encoding(kFormat, codec);
      for (int i = 0; i < kFrames; i += step) encoding.take(rgb.narrow(0, i, std::min(step, kFrames - i)));
      const std::string file = encoding.finish([] {});
      if (codec.encoder == "y4m") {
        EXPECT_TRUE(file == expected) << "by " << step;
      } else {
        const auto size = static_cast<double>(expected.size());
        EXPECT_NEAR(static_cast<double>(file.size()), size, 0.01 * size) << codec.encoder << " by " << step;
      }
    }
  }
}

// The encoder lets go of frames when it takes the next ones.
bool encoded(const at::Tensor& taken) {
  return comes_true([&taken] { return taken.use_count() == 1; });
}

// Frames are made only when those before the last ones are in the video, so that none can wait for finish().
TEST(Encoding, GoesOnWhileTheCallerMakesMoreFrames) {
  const VideoCodec codec{"y4m", ".y4m"};
  Encoding encoding(kFormat, codec);
  std::vector<at::Tensor> taken;
  for (int i = 0; i < kFrames; ++i) {
    taken.push_back(frames().narrow(0, i, 1));
    encoding.take(taken.back());
    if (i > 0) {
      ASSERT_TRUE(encoded(taken[static_cast<std::size_t>(i) - 1])) << "frame " << i - 1;
    }
  }
  EXPECT_EQ(encoding.finish([] {}), at_once(frames(), codec));
}

TEST(Encoding, WaitingForItIsASignOfLife) {
  const VideoFormat large{.width = 64, .height = 48, .scale = 16};
  Encoding slow(large, {"y4m", ".y4m"});
  for (int i = 0; i < 3; ++i) slow.take(frames());
  int signs = 0;
  slow.finish([&signs] { ++signs; });
  EXPECT_GE(signs, 5);
}

TEST(Encoding, KeepsTheFramesOfATensorThatIsGone) {
  const VideoCodec codec{"y4m", ".y4m"};
  Encoding encoding(kFormat, codec);
  encoding.take(frames());
  EXPECT_EQ(encoding.finish([] {}), at_once(frames(), codec));
}

TEST(Encoding, WhatTheEncoderThrowsComesOutAtTheEnd) {
  Encoding encoding(kFormat, {"no such encoder", ".mp4"});
  encoding.take(frames());
  EXPECT_THROW(encoding.finish([] {}), Error);
}

// Nobody makes the other frames in vain.
TEST(Encoding, WhatTheEncoderThrowsComesOutWhenMoreFramesCome) {
  const at::Tensor rgb = frames();
  Encoding encoding(kFormat, {"no such encoder", ".mp4"});
  const auto refused = [&] {
    try {
      encoding.take(rgb);
    } catch (const Error&) {
      return true;
    }
    return false;
  };
  EXPECT_FALSE(refused()) << "nothing of the encoder is taken before";
  EXPECT_TRUE(comes_true(refused));
  EXPECT_THROW(encoding.finish([] {}), Error);
}

TEST(Encoding, RefusesFramesOfAnotherSizeAndNone) {
  Encoding encoding(kFormat, {"y4m", ".y4m"});
  EXPECT_THROW(encoding.take(at::zeros({1, 48, 32, 3}, at::kByte)), std::invalid_argument);
  EXPECT_THROW(encoding.finish([] {}), std::invalid_argument);
}

// Of a minute's work or so.
TEST(Encoding, IsBrokenOffWhenNobodyWantsTheFile) {
  const VideoFormat large{.width = 64, .height = 48, .scale = 16};
  const auto begin = std::chrono::steady_clock::now();
  {
    Encoding encoding(large, choose_codec(large, ".mp4"));
    for (int i = 0; i < 100; ++i) encoding.take(frames());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace ferry::worker
