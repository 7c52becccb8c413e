// The golden vectors of wan21.md section 13.3, fp32, on the device of the program.
#include <ATen/Context.h>
#include <ATen/ops/cat.h>

#include "model/tensor.h"
#include "model/torch_stream.h"
#include "model/vae/vae.h"
#include "tests/support/device_fixture.h"
#include "tests/support/plain_weights.h"
#include "tests/unit/vae_golden.h"
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
    model::VaeDecoder decoder(config, weights, {&device(), DType::F32});
    decoder.decode(latent.to(place),
                   [&](int64_t, const at::Tensor& frames) { parts.push_back(frames.cpu()); });
    device().compute().synchronize();
    return at::cat(parts, 1);
  }
};

TEST_F(VaeGolden, DecodedFramesMatch) {
  const bool allowed = at::globalContext().allowTF32CuDNN();
  at::globalContext().setAllowTF32CuDNN(false);
  const model::VaeConfig config = vae_config_of(16, {1, 2, 4, 4}, {false, true, true}, 2);
  ASSERT_EQ(vae_keys(config).size(), 194U);
  const at::Tensor frames = decode(config, golden_latent());
  at::globalContext().setAllowTF32CuDNN(allowed);
  expect_golden(frames);
}

}  // namespace
}  // namespace ferry::testing
