// What the writers of worker/output/ put into files, read back by other means.
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tests/support/temporary_folder.h"
#include "worker/output/files.h"
#include "worker/output/frames.h"
#include "worker/output/mp4.h"
#include "worker/output/sheet.h"
#include "worker/output/video.h"
#include "worker/output/yuv.h"

namespace ferry::worker {
namespace {

using ::ferry::testing::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Frame i is one colour, so that lossy encoders keep it: grey 40 + 20 i.
std::vector<std::uint8_t> grey_frames(int frames, int width, int height) {
  std::vector<std::uint8_t> rgb;
  for (int i = 0; i < frames; ++i) {
    rgb.insert(rgb.end(), static_cast<std::size_t>(width) * height * 3,
               static_cast<std::uint8_t>(40 + 20 * i));
  }
  return rgb;
}

Image read_png(const std::string& bytes) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_memory(&header, bytes.data(), bytes.size())) << header.message;
  header.format = PNG_FORMAT_RGB;
  Image image{static_cast<int>(header.width), static_cast<int>(header.height), {}};
  image.rgb.resize(PNG_IMAGE_SIZE(header));
  EXPECT_TRUE(png_image_finish_read(&header, nullptr, image.rgb.data(), 0, nullptr)) << header.message;
  return image;
}

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> buffer{};
  for (std::size_t got; (got = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    text.append(buffer.data(), got);
  EXPECT_EQ(pclose(pipe), 0) << command << '\n' << text;
  return text;
}

// The file of these frames.
std::string encoded(
    const Clip& clip, const VideoFormat& format, const VideoCodec& codec,
    const FrameDone& frame_done = [] {}) {
  const std::unique_ptr<VideoEncoder> encoder = open_encoder(format, codec, frame_done);
  for (int i = 0; i < clip.frames; ++i) encoder->take(clip.frame(i));
  return encoder->finish();
}

bool have(const char* program) {
  return std::system(fmt::format("command -v {} >/dev/null", program).c_str()) == 0;
}

TEST(ToRgb8, ClampsScalesAndTruncates) {
  // -1 -> 0, 0 -> 127.5 -> 127, 0.999 -> 254.87 -> 254, 1 -> 255, beyond -> the ends.
  const at::Tensor values = at::tensor({-1.0F, -3.0F, 0.0F, 0.999F, 1.0F, 7.0F});
  const at::Tensor rgb = to_rgb8(values.reshape({1, 1, 1, 6}).expand({3, 1, 1, 6}));
  EXPECT_EQ(rgb.sizes(), at::IntArrayRef({1, 1, 6, 3}));
  std::vector<int> red;
  for (int x = 0; x < 6; ++x) red.push_back(rgb[0][0][x][0].item<std::uint8_t>());
  EXPECT_THAT(red, ElementsAre(0, 0, 127, 254, 255, 255));
}

TEST(ToRgb8, PutsChannelsLast) {
  at::Tensor frames = at::zeros({3, 2, 1, 1}) - 1;
  frames[2][1][0][0] = 1.0F;  // blue of frame 1
  const at::Tensor rgb = to_rgb8(frames);
  EXPECT_EQ(rgb[1][0][0][2].item<std::uint8_t>(), 255);
  EXPECT_EQ(rgb[1][0][0][0].item<std::uint8_t>(), 0);
  EXPECT_EQ(rgb[0][0][0][2].item<std::uint8_t>(), 0);
  EXPECT_THROW(to_rgb8(at::zeros({4, 2, 1, 1})), std::invalid_argument);
}

TEST(Image, ReduceUndoesEnlargeAndDropsTheBorder) {
  const std::vector<std::uint8_t> rgb = {1, 2, 3, 40, 50, 60, 7, 8, 9, 100, 110, 120};
  const ImageView image{rgb.data(), 2, 2};
  const Image large = enlarge(image, 3);
  EXPECT_EQ(large.width, 6);
  EXPECT_EQ(reduce(large.view(), 3).rgb, rgb);
  EXPECT_EQ(reduce(large.view(), 4).width, 1);
  EXPECT_THROW(enlarge(image, 0), std::invalid_argument);
  EXPECT_THROW(reduce(image, 3), std::invalid_argument);
}

TEST(Image, PaddingRepeatsTheLastRowAndColumn) {
  const std::vector<std::uint8_t> rgb = {1, 2, 3};
  const Image even = pad_to_even({rgb.data(), 1, 1});
  EXPECT_THAT(even.rgb, ElementsAre(1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3));
}

TEST(Yuv, PrimariesHaveTheStandardsCodes) {
  // ITU-R BT.601 and BT.709, 8 bits, limited range: white 235/128/128, red 81/90/240 and 63/102/240.
  const auto codes = [](std::array<std::uint8_t, 3> c, Matrix matrix) {
    const std::vector<std::uint8_t> rgb = {c[0], c[1], c[2], c[0], c[1], c[2],
                                           c[0], c[1], c[2], c[0], c[1], c[2]};
    const Yuv420 yuv = to_yuv420({rgb.data(), 2, 2}, matrix);
    return std::vector<int>{yuv.y[0], yuv.u[0], yuv.v[0]};
  };
  EXPECT_THAT(codes({255, 255, 255}, Matrix::Bt709), ElementsAre(235, 128, 128));
  EXPECT_THAT(codes({0, 0, 0}, Matrix::Bt601), ElementsAre(16, 128, 128));
  EXPECT_THAT(codes({255, 0, 0}, Matrix::Bt601), ElementsAre(81, 90, 240));
  EXPECT_THAT(codes({255, 0, 0}, Matrix::Bt709), ElementsAre(63, 102, 240));
}

TEST(Sheet, ChoosesFirstAndLastFrame) {
  EXPECT_THAT(evenly_chosen(9, 3), ElementsAre(0, 4, 8));
  EXPECT_THAT(evenly_chosen(2, 12), ElementsAre(0, 1));
  EXPECT_THAT(evenly_chosen(81, 1), ElementsAre(0));
  EXPECT_EQ(evenly_chosen(81, 12).back(), 80);
}

TEST(Sheet, ShowsSmallFramesEnlargedInReadingOrder) {
  const std::vector<std::uint8_t> rgb = grey_frames(5, 64, 64);
  const Image sheet = read_png(png_bytes(contact_sheet({rgb.data(), 5, 64, 64}).view()));
  // 3 columns and 2 rows of 192 x 192 (64 x 3), gaps of 4.
  EXPECT_EQ(sheet.width, 3 * 196 + 4);
  EXPECT_EQ(sheet.height, 2 * 196 + 4);
  const auto at = [&](int x, int y) { return int(sheet.rgb[(std::size_t(y) * sheet.width + x) * 3]); };
  EXPECT_EQ(at(4, 4), 40);
  EXPECT_EQ(at(4 + 2 * 196, 100), 80);
  EXPECT_EQ(at(4, 4 + 196), 100);
}

TEST(Sheet, ReducesLargeFrames) {
  const std::vector<std::uint8_t> rgb = grey_frames(1, 832, 480);
  const Image sheet = contact_sheet({rgb.data(), 1, 832, 480});
  EXPECT_EQ(sheet.width, 208 + 8);
  EXPECT_EQ(sheet.height, 120 + 8);
}

TEST(Y4m, HeaderAndFramesAreWhole) {
  const std::vector<std::uint8_t> rgb = grey_frames(2, 5, 3);
  const VideoFormat format{.width = 5, .height = 3, .fps = 12.5};
  const VideoCodec codec = choose_codec(format, ".y4m");
  EXPECT_EQ(codec.extension, ".y4m");
  const std::string file = encoded({rgb.data(), 2, 5, 3}, format, codec);
  const std::string header = "YUV4MPEG2 W6 H4 F25:2 Ip A1:1 C420jpeg\n";
  EXPECT_EQ(file.substr(0, header.size()), header);
  EXPECT_EQ(file.size(), header.size() + 2 * (6 + 6 * 4 * 3 / 2));
  EXPECT_EQ(static_cast<unsigned char>(file[header.size() + 6]), 50);  // 16 + 40 * 219 / 255
}

class Mp4 : public ::testing::TestWithParam<std::string> {};

TEST_P(Mp4, ReadsBackWithTrueSizeRateAndFrames) {
  const std::vector<std::string> known = mp4_encoders();
  const VideoFormat format{.width = 63, .height = 48, .fps = 8, .scale = 3};
  if (std::find(known.begin(), known.end(), GetParam()) == known.end() ||
      !mp4_encoder_opens(GetParam(), format)) {
    GTEST_SKIP() << "this libav has no " << GetParam();
  }
  if (!have("ffprobe")) GTEST_SKIP() << "no ffprobe";
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> rgb = grey_frames(5, 63, 48);
  publish(folder.file("v.mp4"), encoded({rgb.data(), 5, 63, 48}, format, {GetParam(), ".mp4"}), false);
  const std::string probe = output_of(
      "ffprobe -v error -count_frames -of json -show_entries "
      "stream=width,height,pix_fmt,color_space,avg_frame_rate,"
      "nb_read_frames " +
      folder.file("v.mp4"));
  const auto stream = nlohmann::json::parse(probe).at("streams").at(0);
  EXPECT_EQ(stream.at("width"), 190);  // 3 * 63, made even
  EXPECT_EQ(stream.at("height"), 144);
  EXPECT_EQ(stream.at("pix_fmt"), "yuv420p");
  EXPECT_EQ(stream.at("avg_frame_rate"), "8/1");
  EXPECT_EQ(stream.at("nb_read_frames"), "5");
}

TEST_P(Mp4, KeepsTheColoursOfEachFrame) {
  const std::vector<std::string> known = mp4_encoders();
  if (std::find(known.begin(), known.end(), GetParam()) == known.end()) GTEST_SKIP() << "no " << GetParam();
  if (!have("ffmpeg")) GTEST_SKIP() << "no ffmpeg";
  const TemporaryFolder folder;
  std::vector<std::uint8_t> rgb = grey_frames(3, 64, 64);
  for (std::size_t i = 0; i < rgb.size(); i += 3) rgb[i] = 200;  // reddish
  const VideoFormat format{.width = 64, .height = 64};
  publish(folder.file("v.mp4"), encoded({rgb.data(), 3, 64, 64}, format, {GetParam(), ".mp4"}), false);
  const std::string raw =
      output_of("ffmpeg -v error -i " + folder.file("v.mp4") + " -f rawvideo -pix_fmt rgb24 -");
  ASSERT_EQ(raw.size(), rgb.size());
  for (int frame = 0; frame < 3; ++frame) {
    const std::size_t middle = ((std::size_t(frame) * 64 + 32) * 64 + 32) * 3;
    for (int c = 0; c < 3; ++c) {
      // Limited range and 4:2:0 cost up to 2 codes, quantisation about as much.
      EXPECT_NEAR(int(static_cast<unsigned char>(raw[middle + c])), int(rgb[middle + c]), 4)
          << frame << ' ' << c;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Encoders, Mp4, ::testing::Values("libx264", "libopenh264", "mpeg4"));

TEST(Video, EachFrameIsASignOfLife) {
  const std::vector<std::uint8_t> rgb(5 * 64 * 48 * 3, 100);
  const VideoFormat format{.width = 64, .height = 48};
  for (const VideoCodec& codec : {choose_codec(format, ".mp4"), choose_codec(format, ".y4m")}) {
    int signs = 0;
    encoded({rgb.data(), 5, 64, 48}, format, codec, [&signs] { ++signs; });
    EXPECT_GE(signs, 5) << codec.encoder;
  }
}

TEST(Video, RefusesFramesThatTakeNoTime) {
  EXPECT_THROW(open_encoder({.width = 4, .height = 4, .fps = 0}, {"y4m", ".y4m"}, [] {}),
               std::invalid_argument);
}

TEST(Files, SlugKeepsWordsAndWholeCharacters) {
  EXPECT_EQ(slug_of("  A red circle, moving LEFT! "), "a-red-circle-moving-left");
  EXPECT_EQ(slug_of("../.."), "video");
  std::string chinese;
  for (int i = 0; i < 30; ++i) chinese += "船";
  EXPECT_EQ(slug_of(chinese), chinese.substr(0, 48));
  EXPECT_EQ(slug_of("a" + chinese), "a" + chinese.substr(0, 45));
}

TEST(Files, AreNotOverwrittenUnasked) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.txt");
  publish(path, "one", false);
  EXPECT_THROW(publish(path, "two", false), SystemError);
  EXPECT_EQ(contents(path), "one");
  publish(path, "two", true);
  EXPECT_EQ(contents(path), "two");
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(Files, ADeviceOrFifoIsNeverReplaced) {
  const TemporaryFolder folder;
  const std::string fifo = folder.file("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  std::filesystem::create_symlink("/dev/null", folder.file("link"));
  for (const std::string& path : {fifo, folder.file("link"), std::string("/dev/null")}) {
    for (const bool overwrite : {true, false}) {
      try {
        check_not_taken(path, overwrite);
        ADD_FAILURE() << path;
      } catch (const UserError& error) {
        EXPECT_THAT(error.what(), HasSubstr("is not a regular file")) << path;
      }
    }
  }
  std::filesystem::create_symlink("nowhere", folder.file("dangling"));
  EXPECT_NO_THROW(check_not_taken(folder.file("dangling"), true));
}

TEST(Files, TheNamedFormTriesTheRealName) {
  const TemporaryFolder folder;
  check_name(folder.file("a.mp4"), PendingFile::Form::Named);
  EXPECT_EQ(folder.entries(), 0U);
  publish(folder.file("there.mp4"), "x", false);
  check_name(folder.file("there.mp4"), PendingFile::Form::Named);
  EXPECT_EQ(contents(folder.file("there.mp4")), "x");
  // As a:b is on vfat: a name that this file system has not.
  EXPECT_THROW(check_name(folder.file(std::string(256, 'n')), PendingFile::Form::Named), UserError);
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(Files, ChecksNameWhatIsWrong) {
  const TemporaryFolder folder;
  const auto message = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  publish(folder.file("there.mp4"), "x", false);
  EXPECT_EQ(message([&] { check_can_write(folder.file("new.mp4"), false); }), "");
  EXPECT_EQ(message([&] { check_can_write(folder.file("there.mp4"), true); }), "");
  EXPECT_THAT(message([&] { check_can_write(folder.file("there.mp4"), false); }),
              HasSubstr("exists already"));
  EXPECT_THAT(message([&] { check_can_write(folder.file("no/a.mp4"), false); }), HasSubstr("/no"));
  EXPECT_THAT(message([&] { check_can_write("/proc/a.mp4", false); }), HasSubstr("/proc"));
  EXPECT_THAT(message([&] { check_can_write(folder.file("."), true); }), HasSubstr("is a folder"));
  EXPECT_EQ(message([&] { check_can_write(folder.file(std::string(255, 'n')), false); }), "");
  std::string chinese;
  for (int i = 0; i < 86; ++i) chinese += "船";
  EXPECT_THAT(message([&] { check_can_write(folder.file(chinese), false); }),
              HasSubstr("the name has 258 bytes; names here have at most 255"));
  std::filesystem::create_symlink("nowhere", folder.file("link.mp4"));
  EXPECT_THAT(message([&] { check_can_write(folder.file("link.mp4"), false); }), HasSubstr("exists already"));
  std::filesystem::remove(folder.file("link.mp4"));
  EXPECT_THAT(message([&] { check_free_space(folder.file("a"), std::uint64_t{1} << 60); }),
              HasSubstr("MB free"));
  EXPECT_EQ(folder.entries(), 1U);
}

}  // namespace
}  // namespace ferry::worker
