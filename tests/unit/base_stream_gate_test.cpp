// base/stream_gate.h, on the device of the program.
#include "base/stream_gate.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

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

// Nobody has queued the opening when the wait begins.
TEST_F(StreamGates, HoldWhoeverPassesUntilTheyAreOpened) {
  for (int round = 0; round < 3; ++round) {
    std::atomic<bool> passed = false;
    gate().close(keeper());
    keeper().synchronize();
    gate().pass(passer());
    passer().call([&passed] { passed = true; });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_FALSE(passed);
    gate().open(keeper());
    passer().synchronize();
    EXPECT_TRUE(passed);
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
