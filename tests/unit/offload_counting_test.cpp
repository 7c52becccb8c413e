// The counter of what a forward must not do is only worth something if it counts.
#include "tests/unit/offload_counting.h"

#include <gtest/gtest.h>

#include <array>

namespace ferry::offload {
namespace {

using testing::CountingDevice;
using testing::DeviceCounts;

struct Rig {
  std::unique_ptr<Device> cpu = make_cpu_device();
  CountingDevice device{*cpu};
  std::unique_ptr<Stream> queue = device.make_stream("queue", Priority::Normal);
  std::unique_ptr<Event> event = device.make_event(EventKind::Timed);
  Rig() { device.counts = {}; }
};

TEST(DeviceCounts, EveryWayOfTheHostToWaitCounts) {
  Rig rig;
  rig.event->synchronize();
  EXPECT_EQ(rig.device.counts.host_waits, 1) << "an event";
  rig.queue->synchronize();
  EXPECT_EQ(rig.device.counts.host_waits, 2) << "a stream";
  rig.device.compute().synchronize();
  EXPECT_EQ(rig.device.counts.host_waits, 3) << "the compute stream";
  const auto foreign = rig.cpu->make_stream("foreign", Priority::Normal);
  rig.device.counted(*foreign).synchronize();
  EXPECT_EQ(rig.device.counts.host_waits, 4) << "a stream that others made";
  EXPECT_EQ(rig.device.counts.total(), 4);
}

TEST(DeviceCounts, AllocationsFreesEventsAndStreamsCount) {
  Rig rig;
  rig.device.allocate(256);
  EXPECT_EQ(rig.device.counts.allocations, 1);
  EXPECT_EQ(rig.device.counts.frees, 1);
  rig.device.make_event(EventKind::Order);
  EXPECT_EQ(rig.device.counts.events, 1);
  rig.device.make_stream("another", Priority::Normal);
  EXPECT_EQ(rig.device.counts.streams, 1);
  EXPECT_EQ(rig.device.counts.total(), 4);
}

TEST(DeviceCounts, WhatOnlyQueuesWorkDoesNotCount) {
  Rig rig;
  std::array<float, 2> a = {1, 2};
  std::array<float, 2> b = {};
  const auto begin = rig.cpu->make_event(EventKind::Timed);
  rig.queue->record(*begin);
  rig.queue->copy(b.data(), a.data(), sizeof a);
  rig.queue->cast(a.data(), DType::F32, b.data() + 1, DType::F32, 1);
  rig.queue->fill(b.data(), 0, sizeof b);
  rig.queue->call([&] { b[1] = a[0]; });
  rig.queue->record(*rig.event);
  rig.device.compute().wait(*rig.event);
  EXPECT_TRUE(rig.event->done());
  EXPECT_GE(rig.event->ms_since(*begin), 0);
  EXPECT_EQ(rig.device.counts.total(), 0);
  EXPECT_EQ(b[1], 2.0F) << "the work was done";
}

}  // namespace
}  // namespace ferry::offload
