// What is said when a device is full, with numbers that are made up.
#include "worker/weights/device_full.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "base/error.h"
#include "model/dit/spec.h"

namespace ferry::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::size_t kGB = 1'000'000'000;
constexpr std::size_t kMiB = 1 << 20;

// T2V-14B in bf16: 28.95 GB, a block 0.703 GB, 0.84 GB in none.
offload::StagePlan plan_of(const offload::Options& options = {}) {
  const model::DitConfig k14B{.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 40};
  return offload::make_plan(model::dit_spec(k14B, DType::BF16), options, 1);
}

// 80 GB: 29 of weights, 12 of LibTorch's, 1 of exchanges, `others`.
DeviceHeld held_with(std::size_t others) {
  DeviceHeld held;
  held.device = "H100";
  held.use = {.total_bytes = 80 * kGB, .free_bytes = 38 * kGB - others};
  held.weights[0] = held.weights_now = 29 * kGB;
  held.torch = {.held_bytes = 12 * kGB, .allocated_bytes = 11 * kGB};
  held.torch_now = 12 * kGB;
  held.buffers = kGB;
  held.others_at_start = kGB;
  return held;
}

std::string text(const DeviceHeld& held, const offload::Options& options = {}) {
  return device_full_text(plan_of(options), 10 * kGB, held, {2 * kGB, "LibTorch asked for 2.000 GB"});
}

TEST(DeviceFull, SaysWhoHoldsWhat) {
  EXPECT_THAT(
      text(held_with(37 * kGB)),
      AllOf(HasSubstr("dit: the device's memory is full: LibTorch asked for 2.000 GB, 1.000 GB of 80.000 "
                      "GB are free (H100); "),
            HasSubstr("weights 29.000 GB (resident 29.000 GB), LibTorch's tensors 11.000 GB (12.000 GB "
                      "with its cache; about 10.000 GB were expected)"),
            HasSubstr("buffers of exchanges 1.000 GB; libraries and other processes 37.000 GB (1.000 "
                      "GB when the run began)")));
}

// 42 GB are the stage's: 95 % of them without 13 GB that LibTorch wanted leave 26.9 GB for weights.
TEST(DeviceFull, NamesTheFastestSettingThatFitsWhatIsReallyFree) {
  const std::string said = text(held_with(37 * kGB));
  std::smatch found;
  ASSERT_TRUE(std::regex_search(
      said, found,
      std::regex(
          "; --dit.offload.type async --dit.offload.offload_ratio ([0-9.]+) --dit.offload.prefetch_size 1 "
          "would take 26.\\d+ GB of weights and fit$")))
      << said;
  offload::Options options;
  options.type = offload::StrategyKind::Async;
  options.offload_ratio = std::stod(found[1]);
  EXPECT_LE(plan_of(options).need.bytes, std::size_t{26'900'000'000});
  options.offload_ratio -= 1.0 / 40;
  EXPECT_GT(plan_of(options).need.bytes, std::size_t{26'900'000'000}) << "one block less is ferried";
}

TEST(DeviceFull, NamesNothingThatTakesAsMuch) {
  offload::Options options;
  options.type = offload::StrategyKind::Sequential;
  EXPECT_THAT(text(held_with(0), options), HasSubstr("no offload type fits"));
  DeviceHeld in_place = held_with(37 * kGB);
  in_place.in_place = true;
  EXPECT_THAT(text(in_place), AllOf(HasSubstr("(resident 29.000 GB, in the host copy)"),
                                    HasSubstr("no offload type fits; a smaller size")));
}

TEST(DeviceFull, ALimitAndThePrefetchOfTheUserStay) {
  const DeviceHeld tight = held_with(37 * kGB);
  offload::Options options;
  options.type = offload::StrategyKind::Async;
  options.offload_ratio = 0.1;
  options.prefetch_size = 3;
  EXPECT_THAT(text(tight, options), HasSubstr("--dit.offload.prefetch_size 3 would take"));
  options.vram_limit = 28.9;
  options.type = offload::StrategyKind::None;
  EXPECT_THAT(text(tight, options), HasSubstr("--dit.offload.type async"));
}

TEST(DeviceFull, KnowsTheErrorsThatMeanIt) {
  const c10::OutOfMemoryError torch(
      {}, "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 79.10 GiB.");
  EXPECT_EQ(wanted_memory(torch)->bytes, 1536 * kMiB);
  EXPECT_EQ(wanted_memory(torch)->words, "LibTorch asked for 1.611 GB");
  const c10::Error host({}, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes.");
  EXPECT_EQ(wanted_memory(host)->bytes, 4096U);
  EXPECT_EQ(wanted_memory(OutOfMemory("cannot allocate 1000000 bytes on H100: 5 bytes are free"))->words,
            "Ferry asked for 1.000 MB");
  EXPECT_EQ(wanted_memory(CudaError("cudaStreamCreate (x.cpp:1): out of memory"))->bytes, 0U);
  EXPECT_FALSE(wanted_memory(CudaError("cudaStreamCreate (x.cpp:1): invalid argument")));
  EXPECT_FALSE(wanted_memory(c10::Error({}, "shapes differ")));
  EXPECT_FALSE(wanted_memory(Error("out of memory")));
}

TEST(CountedDevice, CountsWhatExists) {
  CountedDevice device(make_cpu_device());
  EXPECT_EQ(device.allocated_bytes(), 0U);
  {
    const DeviceMemory some = device.allocate(kMiB);
    DeviceMemory more = device.allocate(100);
    EXPECT_EQ(device.allocated_bytes(), kMiB + 100);
    more = device.allocate(0);
    EXPECT_EQ(device.allocated_bytes(), kMiB);
  }
  EXPECT_EQ(device.allocated_bytes(), 0U);
}

}  // namespace
}  // namespace ferry::worker
