// The golden vectors of wan21.md section 13.3: VAE of base dim 16 with the golden fill, fp32.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mean.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/plain_weights.h"

namespace ferry::testing {

inline at::Tensor golden_latent() { return golden_input({16, 3, 4, 6}, 0.4, 0.09); }

// Agreement to 1e-4 relative by value, 1e-5 by L2 norm, with fp32 arithmetic: cuDNN may not use TF32.
inline void expect_golden(const at::Tensor& frames) {
  ASSERT_EQ(frames.sizes(), (std::vector<int64_t>{3, 9, 32, 48}));
  const std::vector<double> first = {-0.1478509, -0.214562, -0.2134333, -0.2131972, -0.2130799, -0.2130776};
  const std::vector<double> last = {-1.033291, -1.039218, -0.697226};
  const std::vector<double> means = {0.09103901, 0.2875805,  0.6049066,  0.7509014, 0.6499137,
                                     0.2100415,  -0.3526981, -0.6457062, -0.6037103};
  const at::Tensor flat = frames.cpu().flatten().to(at::kDouble);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_NEAR(flat[i].item<double>(), first[i], 1e-4 * 0.22);
  for (size_t i = 0; i < last.size(); ++i) {
    EXPECT_NEAR(flat[flat.numel() - 3 + static_cast<int64_t>(i)].item<double>(), last[i], 1e-4);
  }
  EXPECT_NEAR(at::linalg_vector_norm(flat).item<double>(), 173.75179, 173.75179 * 1e-5);
  const at::Tensor mean = at::mean(frames.cpu().to(at::kDouble), {0, 2, 3});
  for (size_t i = 0; i < means.size(); ++i) {
    EXPECT_NEAR(mean[static_cast<int64_t>(i)].item<double>(), means[i], 1e-5);
  }
}

}  // namespace ferry::testing
