// The scopes of model/weights.h over weights that fail to be released.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "model/weights.h"

namespace ferry::model {
namespace {

using ::testing::ElementsAre;
using ::testing::StrEq;
using ::testing::ThrowsMessage;

// Weights that write down what they are asked for, and fail at one of these.
class Failing final : public Weights {
 public:
  std::vector<std::string> calls;
  std::string fails_at;

  const NetworkSpec& spec() const override { return spec_; }
  void begin(const PassKey&) override { note("begin"); }
  void end() override { note("end"); }
  void acquire_block(int) override { note("acquire block"); }
  void release_block(int) override { note("release block"); }
  ModuleView acquire(ModuleId) override {
    note("acquire");
    return {};
  }
  void release(ModuleId) override { note("release"); }
  std::span<const at::Tensor> on_host(ModuleId) override { return {}; }

 private:
  void note(const std::string& call) {
    calls.push_back(call);
    if (call == fails_at) throw std::runtime_error(call + " failed");
  }
  NetworkSpec spec_;
};

void forward(Weights& weights) {
  PassScope pass(weights, {});
  {
    const BlockScope block(weights, 0);
    const ModuleScope module(weights, {0, 0});
  }
  pass.end();
}

TEST(Scopes, CallTheWeightsInOrder) {
  Failing weights;
  forward(weights);
  EXPECT_THAT(weights.calls,
              ElementsAre("begin", "acquire block", "acquire", "release", "release block", "end"));
}

TEST(Scopes, AFailureToReleaseOrEndIsThrownByTheForwardAndOnce) {
  for (const std::string call : {"release", "release block", "end"}) {
    Failing weights;
    weights.fails_at = call;
    EXPECT_THAT([&] { forward(weights); }, ThrowsMessage<std::runtime_error>(StrEq(call + " failed")));
    EXPECT_THAT(weights.calls,
                ElementsAre("begin", "acquire block", "acquire", "release", "release block", "end"));
    weights.fails_at.clear();
    EXPECT_NO_THROW(forward(weights)) << call;
  }
}

TEST(Scopes, AFailureToReleaseIsThrownByTheNextScope) {
  Failing weights;
  PassScope pass(weights, {});
  weights.fails_at = "release";
  { const ModuleScope module(weights, {0, 0}); }
  EXPECT_THAT([&] { const BlockScope block(weights, 0); },
              ThrowsMessage<std::runtime_error>(StrEq("release failed")));
  { const ModuleScope module(weights, {0, 0}); }
  EXPECT_THAT(
      [&] {
        const ModuleScope module(weights, {0, 0});
      },
      ThrowsMessage<std::runtime_error>(StrEq("release failed")));
  EXPECT_NO_THROW(pass.end());
  EXPECT_THAT(weights.calls, ElementsAre("begin", "acquire", "release", "acquire", "release", "end"));
}

TEST(Scopes, AFailureOfAPassThatNobodyEndedIsThrownByTheNextPass) {
  Failing weights;
  weights.fails_at = "end";
  { const PassScope pass(weights, {}); }
  weights.fails_at.clear();
  EXPECT_THAT([&] { forward(weights); }, ThrowsMessage<std::runtime_error>(StrEq("end failed")));
  EXPECT_THAT(weights.calls, ElementsAre("begin", "end"));
}

TEST(Scopes, OfTwoFailuresTheFirstIsThrown) {
  for (const std::string call : {"release", "release block", "end"}) {
    Failing weights;
    weights.fails_at = call;
    EXPECT_THAT(
        [&] {
          const PassScope pass(weights, {});
          const BlockScope block(weights, 0);
          const ModuleScope module(weights, {0, 0});
          throw std::runtime_error("out of patience");
        },
        ThrowsMessage<std::runtime_error>(StrEq("out of patience")))
        << call;
    EXPECT_THAT(weights.calls,
                ElementsAre("begin", "acquire block", "acquire", "release", "release block", "end"));
    weights.fails_at.clear();
    EXPECT_NO_THROW(forward(weights)) << "the pass that was broken off has had its failure";
  }
}

}  // namespace
}  // namespace ferry::model
