#include "base/stream_timer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>

#include "base/clock.h"

namespace ferry {
namespace {

// A sleep never ends early, and on a busy machine late.
void expect_about(double ms, double least) {
  EXPECT_GE(ms, least);
  EXPECT_LE(ms, least + 200);
}

void sleep_on(Stream& stream, int ms) {
  stream.call([ms] { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); });
}

TEST(StreamTimer, TimesSpansByPassAndByPlace) {
  const auto device = make_cpu_device();
  const auto stream = device->make_stream("timed", Priority::Normal);
  StreamTimer timer(*device, 2, 8);
  const int sleeps[2][2] = {{1, 30}, {60, 300}};
  const Clock::time_point begin = Clock::now();
  for (const auto& pass : sleeps) {
    timer.begin_pass();
    for (int place = 0; place < 2; ++place) {
      timer.begins(place, *stream);
      sleep_on(*stream, pass[place]);
      timer.ends(*stream);
    }
  }
  EXPECT_LT(seconds_since(begin), 0.3) << "the host waits for nothing";
  stream->synchronize();
  const StreamTimes times = timer.times();
  ASSERT_EQ(times.ms_by_pass.size(), 2U);
  ASSERT_EQ(times.ms_by_place.size(), 2U);
  expect_about(times.ms_by_pass[0], 31);
  expect_about(times.ms_by_pass[1], 360);
  expect_about(times.ms_by_place[0], 30.5);
  expect_about(times.ms_by_place[1], 165);
  EXPECT_DOUBLE_EQ(times.ms, times.ms_by_pass[0] + times.ms_by_pass[1]);
  EXPECT_NEAR(times.ms, 2 * (times.ms_by_place[0] + times.ms_by_place[1]), 1e-9) << "means of two passes";
  EXPECT_EQ(timer.times().ms, times.ms) << "reading twice counts once";
}

TEST(StreamTimer, GivesUpWhatIsNotOverAndScalesTheRest) {
  const auto device = make_cpu_device();
  const auto stream = device->make_stream("timed", Priority::Normal);
  StreamTimer timer(*device, 1, 1);
  timer.begin_pass();
  std::promise<void> open;
  std::shared_future<void> opened = open.get_future().share();
  for (int i = 0; i < 4; ++i) {
    timer.begins(0, *stream);
    stream->call([opened] { opened.wait(); });
    sleep_on(*stream, 20);
    timer.ends(*stream);
  }
  open.set_value();
  stream->synchronize();
  expect_about(timer.times().ms, 4 * 20);
}

TEST(StreamTimer, NeedsAPlaceAndASample) {
  const auto device = make_cpu_device();
  EXPECT_THROW(StreamTimer(*device, 0, 1), std::invalid_argument);
  EXPECT_THROW(StreamTimer(*device, 1, 0), std::invalid_argument);
}

}  // namespace
}  // namespace ferry
