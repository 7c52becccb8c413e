// base/device.h on the CPU: order, events, errors.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <future>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/device.h"
#include "base/error.h"

namespace ferry {
namespace {

using std::chrono::milliseconds;

// Work that a test holds back and lets go; lets go by itself when the test ends.
class Gate {
 public:
  ~Gate() { open(); }
  void open() {
    if (!opened_) promise_.set_value();
    opened_ = true;
  }
  // Give this to Stream::call.
  std::function<void()> work() const {
    return [future = future_] { future.wait(); };
  }

 private:
  std::promise<void> promise_;
  std::shared_future<void> future_ = promise_.get_future().share();
  bool opened_ = false;
};

class CpuStream : public ::testing::Test {
 protected:
  std::unique_ptr<Stream> stream(const std::string& name) {
    return device_->make_stream(name, Priority::Normal);
  }
  std::unique_ptr<Event> event(EventKind kind = EventKind::Order) { return device_->make_event(kind); }
  std::unique_ptr<Device> device_ = make_cpu_device();
};

TEST_F(CpuStream, KeepsItsOrder) {
  const auto queue = stream("order");
  std::vector<int> seen;
  for (int i = 0; i < 2000; ++i) queue->call([&seen, i] { seen.push_back(i); });
  queue->synchronize();
  std::vector<int> expected(2000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(seen, expected);
}

TEST_F(CpuStream, CopiesFillsAndCastsInOrder) {
  const auto queue = stream("copies");
  std::vector<float> a(1000), b(1000);
  std::vector<std::uint16_t> half(1000);
  std::iota(a.begin(), a.end(), 0.0F);
  queue->cast(half.data(), DType::BF16, a.data(), DType::F32, a.size());
  queue->cast(b.data(), DType::F32, half.data(), DType::BF16, b.size());
  queue->fill(a.data(), 0xff, 4);
  queue->copy(a.data() + 1, b.data() + 1, 999 * sizeof(float));
  queue->copy(nullptr, nullptr, 0);
  queue->synchronize();
  EXPECT_NE(a[0], a[0]);
  EXPECT_EQ(a[255], 255.0F);
  EXPECT_EQ(a[999], 1000.0F);
}

TEST_F(CpuStream, QueueingDoesNotWait) {
  Gate gate;
  const auto queue = stream("held");
  const auto other = stream("held by its event");
  const auto fired = event();
  std::atomic<bool> ran = false;
  std::array<float, 4> a = {1, 2, 3, 4};
  std::array<float, 4> b = {};
  queue->call(gate.work());
  queue->call([&] { ran = true; });
  queue->copy(b.data(), a.data(), sizeof a);
  queue->fill(a.data(), 0, sizeof a);
  queue->cast(a.data() + 1, DType::F32, b.data(), DType::F32, 1);
  queue->record(*fired);
  other->wait(*fired);
  EXPECT_FALSE(ran);
  EXPECT_FALSE(fired->done());
  gate.open();
  fired->synchronize();
  EXPECT_TRUE(ran);
  EXPECT_EQ(a[1], 1.0F);
  EXPECT_TRUE(fired->done());
}

TEST_F(CpuStream, AnEventThatWasNeverRecordedIsDone) {
  const auto never = event();
  EXPECT_TRUE(never->done());
  never->synchronize();
  const auto queue = stream("free");
  queue->wait(*never);
  queue->synchronize();
  device_->compute().wait(*never);
}

TEST_F(CpuStream, AnotherStreamWaitsForTheRecord) {
  Gate gate;
  const auto first = stream("first");
  const auto second = stream("second");
  const auto written = event();
  int value = 0;
  int seen = -1;
  first->call(gate.work());
  first->call([&] { value = 7; });
  first->record(*written);
  second->wait(*written);
  second->call([&] { seen = value; });
  gate.open();
  second->synchronize();
  EXPECT_EQ(seen, 7);
}

TEST_F(CpuStream, AWaitIsBoundToTheRecordThatWasLatestWhenItWasQueued) {
  Gate first_gate;
  Gate second_gate;
  const auto producer = stream("producer");
  const auto consumer = stream("consumer");
  const auto again = event();
  const auto passed = event();
  producer->call(first_gate.work());
  producer->record(*again);
  consumer->wait(*again);  // bound to the first record
  consumer->record(*passed);
  producer->call(second_gate.work());
  producer->record(*again);  // later records do not hold that wait up ...
  first_gate.open();
  passed->synchronize();
  EXPECT_TRUE(passed->done());
  EXPECT_FALSE(again->done());  // ... but done() asks about the latest
  second_gate.open();
  again->synchronize();
}

TEST_F(CpuStream, AnEarlierRecordDoesNotSatisfyAWaitForALaterOne) {
  Gate slow;
  const auto fast_stream = stream("fast");
  const auto slow_stream = stream("slow");
  const auto consumer = stream("consumer");
  const auto shared = event();
  const auto passed = event();
  fast_stream->record(*shared);
  slow_stream->call(slow.work());
  slow_stream->record(*shared);
  consumer->wait(*shared);
  consumer->record(*passed);
  fast_stream->synchronize();
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_FALSE(passed->done());
  slow.open();
  passed->synchronize();
}

TEST_F(CpuStream, TheComputeStreamIsTheCaller) {
  Stream& compute = device_->compute();
  std::thread::id ran;
  compute.call([&] { ran = std::this_thread::get_id(); });
  EXPECT_EQ(ran, std::this_thread::get_id());
  const auto fired = event();
  compute.record(*fired);
  EXPECT_TRUE(fired->done());

  const auto queue = stream("queue");
  const auto written = event();
  int value = 0;
  queue->call([&] {
    std::this_thread::sleep_for(milliseconds(20));
    value = 3;
  });
  queue->record(*written);
  compute.wait(*written);
  EXPECT_EQ(value, 3);
}

TEST_F(CpuStream, StreamsRunBesideEachOther) {
  // Each waits for the other: one thread for both would never end.
  const auto a = stream("a");
  const auto b = stream("b");
  std::promise<void> from_a;
  std::promise<void> from_b;
  a->call([&] {
    from_a.set_value();
    from_b.get_future().wait();
  });
  b->call([&] {
    from_b.set_value();
    from_a.get_future().wait();
  });
  a->synchronize();
  b->synchronize();
}

TEST_F(CpuStream, TheFirstErrorSticksAndLaterWorkIsSkipped) {
  const auto queue = stream("failing");
  bool ran = false;
  queue->call([] { throw Error("first"); });
  queue->call([] { throw Error("second"); });
  queue->call([&] { ran = true; });
  for (int i = 0; i < 2; ++i) {
    try {
      queue->synchronize();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "first");
    }
  }
  EXPECT_FALSE(ran);
}

TEST_F(CpuStream, AnErrorTravelsWithItsEvents) {
  const auto producer = stream("producer");
  const auto consumer = stream("consumer");
  const auto written = event();
  bool consumed = false;
  producer->call([] { throw Error("planted"); });
  producer->record(*written);
  consumer->wait(*written);
  consumer->call([&] { consumed = true; });
  EXPECT_THROW(consumer->synchronize(), Error);
  EXPECT_FALSE(consumed);
  EXPECT_THROW(written->synchronize(), Error);
  EXPECT_THROW(device_->compute().wait(*written), Error);
}

TEST_F(CpuStream, ACastThatIsNotPossibleIsTheStreamsError) {
  const auto queue = stream("cast");
  float value = 0;
  std::int64_t number = 0;
  queue->cast(&value, DType::F32, &number, DType::I64, 1);
  EXPECT_THROW(queue->synchronize(), std::invalid_argument);
}

TEST_F(CpuStream, EventsMeasureTime) {
  const auto begin = event(EventKind::Timed);
  const auto end = event(EventKind::Timed);
  EXPECT_THROW(end->ms_since(*begin), std::invalid_argument);  // never recorded
  const auto queue = stream("timed");
  queue->record(*begin);
  queue->call([] { std::this_thread::sleep_for(milliseconds(30)); });
  queue->record(*end);
  queue->synchronize();
  EXPECT_GE(end->ms_since(*begin), 30.0);
  EXPECT_LT(end->ms_since(*begin), 3000.0);
  EXPECT_THROW(end->ms_since(*event(EventKind::Order)), std::invalid_argument);
}

TEST_F(CpuStream, TheDestructorWorksOffTheQueue) {
  int done = 0;
  {
    const auto queue = stream("short");
    for (int i = 0; i < 100; ++i) queue->call([&] { ++done; });
  }
  EXPECT_EQ(done, 100);
}

TEST_F(CpuStream, AnEventMayGoBeforeItFires) {
  Gate gate;
  const auto queue = stream("holder");
  queue->call(gate.work());
  queue->record(*event());
  gate.open();
  queue->synchronize();
}

// A ring of slots between three streams, as the offload pipeline uses them: a value read from a slot that
// was overwritten too early is seen.
TEST_F(CpuStream, ARingOfSlotsNeverShowsAWrongValue) {
  constexpr int kSlots = 3;
  constexpr int kRounds = 3000;
  const auto writer = stream("writer");
  const auto reader = stream("reader");
  std::vector<std::unique_ptr<Event>> filled;
  std::vector<std::unique_ptr<Event>> freed;
  for (int i = 0; i < kSlots; ++i) {
    filled.push_back(event());
    freed.push_back(event());
  }
  std::vector<std::uint32_t> source(kRounds);
  std::iota(source.begin(), source.end(), 1U);
  std::uint32_t slots[kSlots] = {};
  std::vector<std::uint32_t> seen(kRounds);
  for (int i = 0; i < kRounds; ++i) {
    const int slot = i % kSlots;
    writer->wait(*freed[slot]);
    writer->copy(&slots[slot], &source[i], sizeof(std::uint32_t));
    writer->record(*filled[slot]);
    reader->wait(*filled[slot]);
    reader->copy(&seen[i], &slots[slot], sizeof(std::uint32_t));
    reader->fill(&slots[slot], 0xff, sizeof(std::uint32_t));
    reader->record(*freed[slot]);
  }
  reader->synchronize();
  EXPECT_EQ(seen, source);
}

TEST(CpuDevice, AllocatesAlignedMemoryAndRefusesWhatIsNotThere) {
  const auto device = make_cpu_device();
  EXPECT_EQ(device->type(), DeviceType::Cpu);
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{257}, std::size_t{5} << 20}) {
    const DeviceMemory memory = device->allocate(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 256, 0u);
    EXPECT_EQ(memory.bytes(), bytes);
    std::memset(memory.data(), 1, bytes);
  }
  EXPECT_EQ(device->allocate(0).data(), nullptr);
  EXPECT_THROW(device->allocate(std::size_t{1} << 50), OutOfMemory);
  const MemoryUse use = device->memory();
  EXPECT_GT(use.total_bytes, use.free_bytes);
  EXPECT_GT(use.free_bytes, 0u);
}

TEST(DeviceMemory, IsReleasedOnceByItsLastOwner) {
  int released = 0;
  int place = 0;
  {
    DeviceMemory first(&place, 4, [&](void*) { ++released; });
    DeviceMemory second = std::move(first);
    DeviceMemory third;
    third = std::move(second);
    EXPECT_EQ(third.bytes(), 4u);
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

TEST(CudaDevice, WithoutAGpuSaysSo) {
  if (cuda_device_count() > 0) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_THROW(make_cuda_device(0), UserError);
  EXPECT_THROW(cuda_device_uuid(0), UserError);
}

}  // namespace
}  // namespace ferry
