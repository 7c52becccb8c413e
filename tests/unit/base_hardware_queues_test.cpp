#include "base/hardware_queues.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

namespace ferry {
namespace {

constexpr const char* kVariable = "CUDA_DEVICE_MAX_CONNECTIONS";

std::string after(const std::optional<std::string>& given) {
  if (given) {
    ::setenv(kVariable, given->c_str(), 1);
  } else {
    ::unsetenv(kVariable);
  }
  return provide_hardware_queues();
}

TEST(HardwareQueues, AreAsManyAsThereAre) {
  const char* was = std::getenv(kVariable);
  const std::optional<std::string> kept = was == nullptr ? std::nullopt : std::optional<std::string>(was);
  EXPECT_EQ(after(std::nullopt), "");
  EXPECT_STREQ(std::getenv(kVariable), "32");
  EXPECT_EQ(after("1"), "1");
  EXPECT_STREQ(std::getenv(kVariable), "32");
  EXPECT_EQ(after("many"), "many");
  EXPECT_STREQ(std::getenv(kVariable), "32");
  EXPECT_EQ(after("32"), "");
  EXPECT_STREQ(std::getenv(kVariable), "32");
  after(kept);
}

}  // namespace
}  // namespace ferry
