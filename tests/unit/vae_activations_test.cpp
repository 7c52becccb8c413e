// What a decode takes, against measurements.
#include "model/vae/activations.h"

#include <gtest/gtest.h>

namespace ferry::model {
namespace {

// docs/results/h100_memory.jsonl: what decodes of 81 frames had in use at most.
TEST(VaeActivations, ADecodeTakesAtMostWhatIsEstimatedAndLittleLess) {
  struct Measured {
    std::int64_t width, height;
    DType compute;
    double bytes;
  };
  for (const auto& [width, height, compute, bytes] :
       {Measured{832, 480, DType::F32, 5992258048}, Measured{832, 480, DType::BF16, 3967926272},
        Measured{1280, 720, DType::F32, 13775475200}, Measured{1280, 720, DType::BF16, 9106128896}}) {
    const VaeActivations how{.width = width, .height = height};
    const auto estimate = static_cast<double>(activation_bytes(VaeConfig{}, how, compute));
    EXPECT_GE(estimate, bytes) << width << " " << name_of(compute);
    EXPECT_LE(estimate, 1.15 * bytes) << width << " " << name_of(compute);
  }
}

TEST(VaeActivations, RanksThatDecodeTogetherShareTheRows) {
  const auto bytes = [](std::int64_t height, int ranks) {
    return static_cast<double>(
        activation_bytes(VaeConfig{}, {.width = 832, .height = height, .ranks = ranks}, DType::F32));
  };
  const double one = bytes(480, 1);
  for (const int ranks : {2, 4, 8}) {  // 8 do not divide 60 rows: the longest band has 8
    const double share = static_cast<double>((60 + ranks - 1) / ranks) / 60;
    EXPECT_GE(bytes(480, ranks), share * one) << ranks;
    EXPECT_LE(bytes(480, ranks), 1.07 * share * one) << ranks;
  }
  EXPECT_EQ(bytes(16, 4), bytes(16, 1)) << "2 rows for 4 ranks: each decodes all";
}

}  // namespace
}  // namespace ferry::model
