// parallel/exchange_gate.h: an exchange between a gate's two calls, and what fails there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "parallel/exchange_gate.h"

namespace ferry::parallel {
namespace {

using ::testing::ElementsAre;
using ::testing::StrEq;
using ::testing::ThrowsMessage;

class GateTest : public ::testing::Test {
 protected:
  // What is called writes itself down, and fails if it is told to.
  struct Gate final : ExchangeGate {
    std::vector<std::string> calls;
    std::vector<std::string> fail;
    void note(const std::string& call) {
      calls.push_back(call);
      for (const std::string& each : fail) {
        if (each == call) throw std::runtime_error(call + " failed");
      }
    }
    void before(Stream&) override { note("before"); }
    void after(Stream&) override { note("after"); }
  };

  void exchange(ExchangeGate* gate) {
    gated_exchange(gate, device_->compute(), [this] { gate_.note("work"); });
  }

  std::unique_ptr<Device> device_ = make_cpu_device();
  Gate gate_;
};

TEST_F(GateTest, AnExchangeIsBetweenItsTwoCalls) {
  exchange(&gate_);
  EXPECT_THAT(gate_.calls, ElementsAre("before", "work", "after"));
}

TEST_F(GateTest, WithoutAGateThereIsTheExchangeAlone) {
  exchange(nullptr);
  EXPECT_THAT(gate_.calls, ElementsAre("work"));
}

TEST_F(GateTest, AFailureAfterAnExchangeIsThrown) {
  gate_.fail = {"after"};
  EXPECT_THAT([&] { exchange(&gate_); }, ThrowsMessage<std::runtime_error>(StrEq("after failed")));
}

TEST_F(GateTest, AGateHearsOfTheEndOfAnExchangeThatFails) {
  gate_.fail = {"work"};
  EXPECT_THAT([&] { exchange(&gate_); }, ThrowsMessage<std::runtime_error>(StrEq("work failed")));
  EXPECT_THAT(gate_.calls, ElementsAre("before", "work", "after"));
}

TEST_F(GateTest, OfTwoFailuresTheFirstIsThrown) {
  gate_.fail = {"work", "after"};
  EXPECT_THAT([&] { exchange(&gate_); }, ThrowsMessage<std::runtime_error>(StrEq("work failed")));
  EXPECT_THAT(gate_.calls, ElementsAre("before", "work", "after"));
}

TEST_F(GateTest, AnExchangeWhoseBeginFailsIsNotQueued) {
  gate_.fail = {"before"};
  EXPECT_THAT([&] { exchange(&gate_); }, ThrowsMessage<std::runtime_error>(StrEq("before failed")));
  EXPECT_THAT(gate_.calls, ElementsAre("before"));
}

}  // namespace
}  // namespace ferry::parallel
