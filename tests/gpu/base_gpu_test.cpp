// base/device.h on a GPU.
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <future>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/device.h"
#include "base/error.h"
#include "tests/support/device_fixture.h"

namespace ferry {
namespace {

using ferry::testing::DeviceTest;

// Pinned host memory for a test.
class Pinned {
 public:
  Pinned(Device& device, std::size_t bytes) : device_(device), data_(bytes) {
    device_.pin(data_.data(), bytes);
  }
  ~Pinned() { device_.unpin(data_.data()); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  std::uint8_t* data() { return data_.data(); }
  std::size_t bytes() const { return data_.size(); }

 private:
  Device& device_;
  std::vector<std::uint8_t> data_;
};

class GpuStream : public DeviceTest {
 protected:
  std::unique_ptr<Stream> stream(const std::string& name) {
    return device().make_stream(name, Priority::High);
  }
  std::unique_ptr<Event> event(EventKind kind = EventKind::Order) { return device().make_event(kind); }
};

TEST_F(GpuStream, CopiesFillsAndOrdersAcrossStreams) {
  constexpr std::size_t kBytes = 64 << 20;
  Pinned from(device(), kBytes);
  Pinned to(device(), kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) from.data()[i] = static_cast<std::uint8_t>(i * 2654435761U >> 13U);
  const DeviceMemory memory = device().allocate(kBytes);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 256, 0U);
  const auto copies = stream("copies");
  const auto arrived = event();
  copies->copy(memory.data(), from.data(), kBytes);
  copies->fill(memory.data(), 7, 100);
  copies->record(*arrived);
  device().compute().wait(*arrived);
  device().compute().copy(to.data(), memory.data(), kBytes);
  device().compute().synchronize();
  EXPECT_EQ(to.data()[99], 7);
  EXPECT_EQ(std::memcmp(to.data() + 100, from.data() + 100, kBytes - 100), 0);
}

TEST_F(GpuStream, AWaitIsBoundToTheRecordThatWasLatestWhenItWasQueued) {
  std::promise<void> first;
  std::promise<void> second;
  const auto producer = stream("producer");
  const auto consumer = stream("consumer");
  const auto again = event();
  const auto passed = event();
  producer->call([&] { first.get_future().wait(); });
  producer->record(*again);
  consumer->wait(*again);
  consumer->record(*passed);
  producer->call([&] { second.get_future().wait(); });
  producer->record(*again);
  EXPECT_FALSE(passed->done());
  first.set_value();
  passed->synchronize();
  EXPECT_FALSE(again->done());
  second.set_value();
  again->synchronize();
}

TEST_F(GpuStream, HostCallsRunInOrderAndTheirErrorsAreThrown) {
  const auto queue = stream("calls");
  std::vector<int> seen;
  for (int i = 0; i < 100; ++i) queue->call([&seen, i] { seen.push_back(i); });
  queue->synchronize();
  ASSERT_EQ(seen.size(), 100U);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  bool ran = false;
  queue->call([] { throw Error("planted"); });
  queue->call([&] { ran = true; });
  EXPECT_THROW(queue->synchronize(), Error);
  EXPECT_THROW(queue->wait(*event()), Error);
  EXPECT_FALSE(ran);
}

TEST_F(GpuStream, EventsMeasureTimeAndRefuseWhatTheyCannot) {
  const auto begin = event(EventKind::Timed);
  const auto end = event(EventKind::Timed);
  EXPECT_TRUE(end->done());
  EXPECT_THROW(end->ms_since(*begin), std::invalid_argument);
  device().compute().record(*begin);
  device().compute().call([] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); });
  device().compute().record(*end);
  device().compute().synchronize();
  EXPECT_GE(end->ms_since(*begin), 19.0);
  EXPECT_THROW(end->ms_since(*event()), std::invalid_argument);
  const auto cpu = make_cpu_device();
  EXPECT_THROW(device().compute().wait(*cpu->make_event(EventKind::Order)), std::invalid_argument);
  EXPECT_THROW(cpu->compute().wait(*end), std::invalid_argument);
}

// Every pair of types over all patterns of the small ones and random bits of the wide ones, on aligned and
// odd addresses and odd counts, is what the host's convert() gives, bit for bit.
TEST_F(GpuStream, CastsAsTheHostDoesBitForBit) {
  constexpr DType kTypes[] = {DType::F64, DType::F32, DType::F16, DType::BF16, DType::F8E4M3};
  constexpr std::size_t kCount = 65536 + 13;
  std::vector<std::uint8_t> source(kCount * 8 + 64);
  std::mt19937 random(11);
  for (auto& byte : source) byte = static_cast<std::uint8_t>(random());
  for (std::size_t i = 0; i < 65536; ++i) {
    const auto pattern = static_cast<std::uint16_t>(i);
    std::memcpy(source.data() + 2 * i, &pattern, 2);
  }
  const DeviceMemory in = device().allocate(source.size());
  const DeviceMemory out = device().allocate(source.size());
  Stream& compute = device().compute();
  compute.copy(in.data(), source.data(), source.size());
  for (const DType src : kTypes) {
    for (const DType dst : kTypes) {
      for (const std::size_t skip : {std::size_t{0}, std::size_t{1}}) {
        const std::size_t bytes = kCount * size_of(dst);
        compute.cast(out.data() + skip * size_of(dst), dst, in.data() + skip * size_of(src), src, kCount);
        std::vector<std::uint8_t> got(bytes);
        std::vector<std::uint8_t> expected(bytes);
        compute.copy(got.data(), out.data() + skip * size_of(dst), bytes);
        compute.synchronize();
        convert(expected.data(), dst, source.data() + skip * size_of(src), src, kCount);
        // The bits of a NaN that widened or narrowed in hardware may differ; both must be NaN.
        std::vector<float> got_values(kCount);
        std::vector<float> expected_values(kCount);
        convert(got_values.data(), DType::F32, got.data(), dst, kCount);
        convert(expected_values.data(), DType::F32, expected.data(), dst, kCount);
        for (std::size_t i = 0; i < kCount; ++i) {
          const bool nan = expected_values[i] != expected_values[i];
          ASSERT_TRUE(nan ? got_values[i] != got_values[i]
                          : std::memcmp(&got[i * size_of(dst)], &expected[i * size_of(dst)], size_of(dst)) ==
                                0)
              << name_of(src) << " to " << name_of(dst) << " at " << i;
        }
      }
    }
  }
  EXPECT_THROW(compute.cast(out.data(), DType::F32, in.data(), DType::I32, 1), std::invalid_argument);
}

using GpuDevice = DeviceTest;

TEST_F(GpuDevice, RefusesMoreThanThereIsAndStaysUsable) {
  const MemoryUse use = device().memory();
  EXPECT_GT(use.total_bytes, use.free_bytes);
  EXPECT_THROW(device().allocate(use.total_bytes * 2), OutOfMemory);
  EXPECT_EQ(device().allocate(0).data(), nullptr);
  EXPECT_NE(device().allocate(1 << 20).data(), nullptr);
  device().compute().synchronize();
}

TEST_F(GpuDevice, ARefusedPinIsNoLastingError) {
  std::vector<std::uint8_t> block(1 << 20);
  device().pin(block.data(), block.size());
  EXPECT_THROW(device().pin(block.data(), block.size()), CudaError);  // already registered
  device().compute().synchronize();
  device().unpin(block.data());
  device().unpin(block.data());  // not registered: nothing happens
  device().compute().synchronize();
  device().pin(nullptr, 0);
}

TEST_F(GpuDevice, KnowsItselfAndOthersAreRefused) {
  EXPECT_EQ(device().type(), DeviceType::Cuda);
  EXPECT_FALSE(device().name().empty());
  EXPECT_EQ(cuda_device_uuid(0).size(), 32U);
  EXPECT_THROW(make_cuda_device(cuda_device_count()), UserError);
  EXPECT_THROW(make_cuda_device(-1), UserError);
}

// Prints what the machine gives; fails only when pinned copies are slower than pageable ones can be.
TEST_F(GpuDevice, PinnedCopiesAreFast) {
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  Pinned host(device(), kBytes);
  const DeviceMemory memory = device().allocate(kBytes);
  const auto begin = device().make_event(EventKind::Timed);
  const auto end = device().make_event(EventKind::Timed);
  Stream& compute = device().compute();
  compute.copy(memory.data(), host.data(), kBytes);
  compute.record(*begin);
  compute.copy(memory.data(), host.data(), kBytes);
  compute.record(*end);
  compute.synchronize();
  const double gbps = static_cast<double>(kBytes) / end->ms_since(*begin) / 1e6;
  std::printf("pinned copy to the GPU: %.1f GB/s\n", gbps);
  EXPECT_GT(gbps, 2.0);
}

}  // namespace
}  // namespace ferry
