#include "offload/async/expectations.h"

#include <gtest/gtest.h>

namespace ferry::offload {
namespace {

using Modules = std::vector<bool>;

void pass(Expectations& expectations, const std::string& kind, std::size_t module) {
  expectations.begin(kind);
  expectations.use(0, module);
  expectations.learn(0);
}

TEST(Expectations, EverythingIsExpectedBeforeAnythingIsLearnt) {
  Expectations expectations({3, 2});
  EXPECT_EQ(expectations.of_this_pass(0), Modules(3, true));
  expectations.begin("forward");
  EXPECT_EQ(expectations.of_this_pass(1), Modules(2, true));
  EXPECT_EQ(expectations.of_any_pass(1), Modules(2, true));
}

TEST(Expectations, APassIsExpectedToBeLikeTheLastOfItsKind) {
  Expectations expectations({3});
  pass(expectations, "decode.first", 0);
  pass(expectations, "decode.next", 2);
  expectations.begin("decode.first");
  EXPECT_EQ(expectations.of_this_pass(0), (Modules{true, false, false}));
  expectations.begin("decode.next");
  EXPECT_EQ(expectations.of_this_pass(0), (Modules{false, false, true}));
  pass(expectations, "decode.next", 1);
  EXPECT_EQ(expectations.of_this_pass(0), (Modules{false, true, false}));
}

TEST(Expectations, AfterThisPassAnyKindMayCome) {
  Expectations expectations({3});
  pass(expectations, "decode.first", 0);
  pass(expectations, "decode.next", 2);
  EXPECT_EQ(expectations.of_any_pass(0), (Modules{true, false, true}));
}

TEST(Expectations, ResetForgets) {
  Expectations expectations({2});
  pass(expectations, "forward", 0);
  expectations.reset();
  EXPECT_EQ(expectations.of_this_pass(0), Modules(2, true));
  EXPECT_EQ(expectations.of_any_pass(0), Modules(2, true));
}

}  // namespace
}  // namespace ferry::offload
