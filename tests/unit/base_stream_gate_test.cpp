// base/stream_gate.h, on the device of the program.
#include "base/stream_gate.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "base/clock.h"
#include "tests/support/device_fixture.h"

namespace ferry {
namespace {

class StreamGates : public testing::DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (!has_device()) return;
    gate_ = make_stream_gate(device());
    keeper_ = device().make_stream("keeper", Priority::High);
    passer_ = device().make_stream("passer", Priority::High);
  }
  StreamGate& gate() { return *gate_; }
  Stream& keeper() { return *keeper_; }
  Stream& passer() { return *passer_; }

 private:
  std::unique_ptr<StreamGate> gate_;
  std::unique_ptr<Stream> keeper_;
  std::unique_ptr<Stream> passer_;
};

TEST_F(StreamGates, AreOpenAtFirst) {
  gate().pass(passer());
  passer().synchronize();
}

// Nobody has queued the opening when the wait begins.  A round in which this thread was away for too long
// says nothing.
TEST_F(StreamGates, HoldWhoeverPassesUntilTheyAreOpened) {
  int judged = 0;
  for (int round = 0; round < 100 && judged < 5; ++round) {
    std::atomic<bool> passed = false;
    const auto begin = Clock::now();
    gate().close(keeper());
    keeper().synchronize();
    gate().pass(passer());
    passer().call([&passed] { passed = true; });
    std::this_thread::sleep_for(kGateTimeout / 5);
    const bool early = passed;
    gate().open(keeper());
    passer().synchronize();
    EXPECT_TRUE(passed);
    if (Clock::now() - begin >= kGateTimeout) continue;
    EXPECT_FALSE(early);
    ++judged;
  }
  EXPECT_EQ(judged, 5) << "gates that are opened open only by themselves, or the machine is too busy";
}

// Whoever closed it may be unable to open it.
TEST_F(StreamGates, OpenByThemselvesAndCloseAgain) {
  for (int round = 0; round < 3; ++round) {
    gate().close(keeper());
    keeper().synchronize();
    const auto begin = Clock::now();
    gate().pass(passer());
    passer().synchronize();
    EXPECT_GE(Clock::now() - begin, kGateTimeout / 2);
  }
}

// What comes before the opening in its stream can be seen by whoever passed.
TEST_F(StreamGates, OpenInTheOrderOfTheStream) {
  constexpr std::size_t kBytes = std::size_t{8} << 20;
  const DeviceMemory from = device().allocate(kBytes), to = device().allocate(kBytes);
  keeper().fill(from.data(), 1, kBytes);
  gate().close(keeper());
  keeper().synchronize();
  gate().pass(passer());
  passer().copy(to.data(), from.data(), kBytes);
  keeper().call([] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); });
  keeper().fill(from.data(), 2, kBytes);
  gate().open(keeper());
  passer().synchronize();
  std::uint8_t last = 0;
  passer().copy(&last, to.data() + kBytes - 1, 1);
  passer().synchronize();
  EXPECT_EQ(last, 2);
}

}  // namespace
}  // namespace ferry
