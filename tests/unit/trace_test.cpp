#include "base/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "tests/support/failing_device.h"

namespace ferry {
namespace {

using ::testing::StrEq;
using ::testing::ThrowsMessage;

TEST(Trace, SpansOfOneStreamFollowEachOther) {
  const auto device = make_cpu_device();
  const auto copies = device->make_stream("copy", Priority::Normal);
  Trace trace(*device, 8);
  for (int block = 0; block < 3; ++block) {
    TraceScope scope(&trace, Lane::Copy, "block", *copies, block);
    copies->call([] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); });
  }
  const auto spans = trace.spans();
  ASSERT_EQ(spans.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(spans[i].name, "block " + std::to_string(i));
    EXPECT_GE(spans[i].end_us - spans[i].begin_us, 1900.0);
    if (i > 0) {
      EXPECT_GE(spans[i].begin_us, spans[i - 1].end_us);
    }
  }
}

TEST(Trace, DropsWhatDoesNotFitAndCountsIt) {
  const auto device = make_cpu_device();
  Trace trace(*device, 2);
  for (int i = 0; i < 5; ++i) TraceScope scope(&trace, Lane::Compute, "ffn", device->compute());
  EXPECT_EQ(trace.spans().size(), 2U);
  EXPECT_EQ(trace.dropped(), 3U);
}

TEST(Trace, WithoutATraceAScopeRecordsNothing) {
  const auto device = make_cpu_device();
  EXPECT_NO_THROW(TraceScope(nullptr, Lane::Gather, "gather", device->compute()));
}

// A scope whose end cannot be recorded.
void fail_to_end(testing::FailingDevice& device, Trace& trace) {
  const TraceScope scope(&trace, Lane::Compute, "ffn", device.compute());
  device.fault = [](const Stream&) { throw CudaError("no such event"); };
}

TEST(Trace, AScopeThatCannotBeEndedFailsTheNextSpan) {
  testing::FailingDevice device;
  Trace trace(device, 8);
  fail_to_end(device, trace);
  device.fault = {};
  EXPECT_THAT([&] { TraceScope(&trace, Lane::Compute, "ffn", device.compute()); },
              ThrowsMessage<CudaError>(StrEq("no such event")));
  EXPECT_NO_THROW(TraceScope(&trace, Lane::Compute, "ffn", device.compute())) << "it was thrown once";
  EXPECT_EQ(trace.spans().size(), 1U);
}

TEST(Trace, AScopeThatCannotBeEndedFailsTheListOfSpans) {
  testing::FailingDevice device;
  Trace trace(device, 8);
  fail_to_end(device, trace);
  EXPECT_THAT([&] { trace.spans(); }, ThrowsMessage<CudaError>(StrEq("no such event")));
}

TEST(Trace, AScopeThatCannotBeEndedLeavesAnotherFailureAlone) {
  testing::FailingDevice device;
  Trace trace(device, 8);
  EXPECT_THAT(
      [&] {
        const TraceScope scope(&trace, Lane::Compute, "ffn", device.compute());
        device.fault = [](const Stream&) { throw CudaError("no such event"); };
        throw std::runtime_error("out of patience");
      },
      ThrowsMessage<std::runtime_error>(StrEq("out of patience")));
}

TEST(Trace, SpansSurviveTheirTextForm) {
  const std::vector<TraceSpan> spans = {{Lane::Exchange, "all-to-all q 3", 10.5, 12.25},
                                        {Lane::Compute, "ffn", 20, 21}};
  const auto back = spans_from_text(to_text(spans));
  ASSERT_EQ(back.size(), 2U);
  EXPECT_EQ(back[0].name, "all-to-all q 3");
  EXPECT_EQ(back[0].lane, Lane::Exchange);
  EXPECT_DOUBLE_EQ(back[0].end_us, 12.25);
}

TEST(Trace, JsonCountsTimeFromTheFirstSpanOfAnyRank) {
  const std::string json = perfetto_json({{{Lane::Compute, "a", 1000, 1500}}, {{Lane::Copy, "b", 400, 600}}});
  EXPECT_NE(json.find(R"("pid":0,"tid":0,"name":"a","ts":600.000,"dur":500.000)"), std::string::npos);
  EXPECT_NE(json.find(R"("pid":1,"tid":1,"name":"b","ts":0.000,"dur":200.000)"), std::string::npos);
}

}  // namespace
}  // namespace ferry
