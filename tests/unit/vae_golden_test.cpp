// The golden vectors of wan21.md section 13.3, fp32, on the device of the program.
#include <ATen/Context.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mean.h>

#include "model/tensor.h"
#include "model/torch_stream.h"
#include "model/vae/vae.h"
#include "tests/support/device_fixture.h"
#include "tests/support/plain_weights.h"
#include "tests/unit/vae_reference.h"

namespace ferry::testing {
namespace {

class VaeGolden : public DeviceTest {
 protected:
  // The frames of `latent`, on the host, with weights by the golden fill.
  at::Tensor decode(const model::VaeConfig& config, const at::Tensor& latent) {
    const model::TorchStream on(device());
    const at::Device place = model::torch_device(device());
    const auto filled = golden_fill(vae_keys(config));
    PlainWeights weights(
        model::vae_decoder_spec(config, DType::F32),
        [&](const model::TensorSpec& spec) { return filled.at(spec.key); }, place);
    std::vector<at::Tensor> parts;
    model::vae_decode(config, weights, latent.to(place), {&device(), DType::F32},
                      [&](int64_t, const at::Tensor& frames) { parts.push_back(frames.cpu()); });
    device().compute().synchronize();
    return at::cat(parts, 1);
  }
};

// Agreement to 1e-4 relative by value, 1e-5 by L2 norm, with fp32 arithmetic: cuDNN may not use TF32.
TEST_F(VaeGolden, DecodedFramesMatch) {
  const bool allowed = at::globalContext().allowTF32CuDNN();
  at::globalContext().setAllowTF32CuDNN(false);
  const model::VaeConfig config = vae_config_of(16, {1, 2, 4, 4}, {false, true, true}, 2);
  ASSERT_EQ(vae_keys(config).size(), 194U);
  const at::Tensor frames = decode(config, golden_input({16, 3, 4, 6}, 0.4, 0.09));
  at::globalContext().setAllowTF32CuDNN(allowed);
  ASSERT_EQ(frames.sizes(), (std::vector<int64_t>{3, 9, 32, 48}));

  const std::vector<double> first = {-0.1478509, -0.214562, -0.2134333, -0.2131972, -0.2130799, -0.2130776};
  const std::vector<double> last = {-1.033291, -1.039218, -0.697226};
  const std::vector<double> means = {0.09103901, 0.2875805,  0.6049066,  0.7509014, 0.6499137,
                                     0.2100415,  -0.3526981, -0.6457062, -0.6037103};
  const at::Tensor flat = frames.flatten().to(at::kDouble);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_NEAR(flat[i].item<double>(), first[i], 1e-4 * 0.22);
  for (size_t i = 0; i < last.size(); ++i) {
    EXPECT_NEAR(flat[flat.numel() - 3 + static_cast<int64_t>(i)].item<double>(), last[i], 1e-4);
  }
  EXPECT_NEAR(at::linalg_vector_norm(flat).item<double>(), 173.75179, 173.75179 * 1e-5);
  const at::Tensor mean = at::mean(frames.to(at::kDouble), {0, 2, 3});
  for (size_t i = 0; i < means.size(); ++i) {
    EXPECT_NEAR(mean[static_cast<int64_t>(i)].item<double>(), means[i], 1e-5);
  }
}

}  // namespace
}  // namespace ferry::testing
