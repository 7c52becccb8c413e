// A forward on a device that fails ends with the device's words, under each strategy and wherever it fails,
// in a destructor too, which may not throw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <set>
#include <string>

#include "base/error.h"
#include "offload/async/async.h"
#include "offload/sequential/sequential.h"
#include "offload/whole_model.h"
#include "parallel/single_group.h"
#include "tests/support/failing_device.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using ::testing::ElementsAre;
using testing::FailingDevice;
using testing::plan_over;
using ::testing::StrEq;
using ::testing::ThrowsMessage;
using testing::ToyShape;

constexpr const char* kFault = "an illegal memory access was encountered";
constexpr int kNever = std::numeric_limits<int>::max();

const ToyShape kShape{.layers = 3, .dim = 32};

using MakeStrategy = std::function<std::unique_ptr<Strategy>(NodeArena& arena, const StageSetup& setup)>;

std::unique_ptr<Strategy> async(NodeArena& arena, const StageSetup& setup, double share) {
  return std::make_unique<Async>(
      arena, plan_over(arena, {.type = StrategyKind::Async}), setup,
      AsyncPlan{.sharing = {.share = share}, .interleave = Interleave::Gated, .gate_by_events = true});
}

struct Case {
  const char* name;
  MakeStrategy make;
};

// As on a GPU: `none` there is a model that stays.
const Case kCases[] = {
    {"None",
     [](NodeArena& arena, const StageSetup& setup) { return make_whole_model(arena, {}, setup, true); }},
    {"Model",
     [](NodeArena& arena, const StageSetup& setup) { return make_whole_model(arena, {}, setup, false); }},
    {"Sequential",
     [](NodeArena& arena, const StageSetup& setup) {
       return make_sequential(arena, plan_over(arena, {.type = StrategyKind::Sequential}), setup);
     }},
    {"AsyncFull", [](NodeArena& arena, const StageSetup& setup) { return async(arena, setup, 0); }},
    {"AsyncSharded", [](NodeArena& arena, const StageSetup& setup) { return async(arena, setup, 1); }},
};

class DeviceFailure : public ::testing::TestWithParam<Case> {
 protected:
  // A forward, traced and with exchanges, on a device that fails at operation `at`, and at all later ones
  // too if it `stays` broken, those by which the stage ends included.  Returns how many there were before.
  int run(int at, bool stays) {
    int operations = 0;
    FailingDevice device;
    DeviceAccount account;
    Trace trace(device, 256);
    const auto group = parallel::make_single_group();
    const auto exchanges = device.make_stream("exchange", Priority::High);
    const auto done = device.make_event(EventKind::Order);
    const StageSetup setup{
        .device = &device, .account = &account, .peers = {}, .copy_sharers = group.get(), .trace = &trace};
    StageWeights stage(*arena_, plan_over(*arena_, {}), setup, GetParam().make(*arena_, setup));
    device.fault = [&](const Stream&) {
      const int now = operations++;
      if (now == at || (stays && now > at)) throw CudaError(kFault);
    };
    const auto exchange = [&](int) {
      parallel::gated_exchange(stage.exchange_gate(), *exchanges, [&] {
        const TraceScope span(&trace, Lane::Exchange, "exchange", *exchanges);
        exchanges->call([] {});
      });
      exchanges->record(*done);
      device.compute().wait(*done);
    };
    testing::toy_forward(stage, 2, exchange);
    trace.spans();
    device.compute().synchronize();
    return operations;
  }

 private:
  std::unique_ptr<NodeArena> arena_ = testing::toy_arena(kShape);
};

TEST_P(DeviceFailure, ThatStaysIsThrownWhereverItBegins) {
  const int operations = run(kNever, true);
  ASSERT_GT(operations, 50);
  for (int at = 0; at < operations; ++at) {
    EXPECT_THAT([&] { run(at, true); }, ThrowsMessage<CudaError>(StrEq(kFault))) << "operation " << at;
  }
}

TEST_P(DeviceFailure, OfOneOperationIsNeverPassedOver) {
  const int operations = run(kNever, false);
  for (int at = 0; at < operations; ++at) {
    EXPECT_THAT([&] { run(at, false); }, ThrowsMessage<CudaError>(StrEq(kFault))) << "operation " << at;
  }
}

TEST_P(DeviceFailure, AfterTheLastWaitDoesNotEndTheProgram) {
  const int operations = run(kNever, true);
  EXPECT_EQ(run(operations, true), operations);
}

TEST(AsyncFailure, WhereOneStreamFailsTheSlotsWaitForTheOthersToo) {
  FailingDevice device;
  DeviceAccount account;
  const auto group = parallel::make_single_group();
  const auto arena = testing::toy_arena(kShape);
  std::set<std::string> waited_for;
  {
    const auto strategy =
        async(*arena, {.device = &device, .account = &account, .peers = {}, .copy_sharers = group.get()}, 1);
    device.fault = [&](const Stream& stream) {
      waited_for.insert(stream.name());
      throw CudaError(kFault);
    };
  }
  EXPECT_THAT(waited_for, ElementsAre("compute", "ferry-copy", "ferry-gather"));
}

INSTANTIATE_TEST_SUITE_P(Strategies, DeviceFailure, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace ferry::offload
