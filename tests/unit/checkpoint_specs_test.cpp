// The networks and the list of expected tensors agree: what a network asks for is what make_model writes.
#include <gtest/gtest.h>

#include <map>

#include "checkpoint/network/expected.h"
#include "model/dit/spec.h"
#include "model/text/umt5.h"
#include "model/vae/vae.h"

namespace ferry::checkpoint {
namespace {

using Shapes = std::map<std::string, std::vector<std::int64_t>>;

Shapes shapes_of(const model::NetworkSpec& spec) {
  Shapes shapes;
  const auto add = [&](const model::ModuleSpec& module) {
    for (const model::TensorSpec& tensor : module.tensors) {
      EXPECT_TRUE(shapes.emplace(tensor.key, tensor.shape).second) << tensor.key << " twice";
    }
  };
  for (const model::ModuleSpec& module : spec.head) add(module);
  for (const model::BlockSpec& block : spec.blocks) {
    for (const model::ModuleSpec& module : block.modules) add(module);
  }
  for (const model::ModuleSpec& module : spec.tail) add(module);
  return shapes;
}

Shapes shapes_of(const std::vector<ExpectedTensor>& list) {
  Shapes shapes;
  for (const ExpectedTensor& tensor : list) shapes[tensor.key] = tensor.shape;
  return shapes;
}

TEST(Specs, Dit) {
  model::DitConfig small;
  small.dim = 192;
  small.heads = 4;
  small.layers = 3;
  small.text_dim = 128;
  for (const model::DitConfig& config : {model::DitConfig{}, small}) {
    EXPECT_EQ(shapes_of(model::dit_spec(config, DType::BF16)), shapes_of(expected_dit(config)));
  }
}

TEST(Specs, Umt5) { EXPECT_EQ(shapes_of(model::umt5_spec({}, DType::BF16)), shapes_of(expected_umt5({}))); }

// The decoder needs its own tensors and conv2, and none of the encoder's.
TEST(Specs, VaeDecoder) {
  for (const std::int64_t blocks : {1, 2}) {
    model::VaeConfig config;
    config.res_blocks = blocks;
    Shapes decoder;
    for (const auto& [key, shape] : shapes_of(expected_vae(config))) {
      if (key.starts_with("decoder.") || key.starts_with("conv2.")) decoder[key] = shape;
    }
    EXPECT_EQ(shapes_of(model::vae_decoder_spec(config, DType::F32)), decoder);
  }
}

}  // namespace
}  // namespace ferry::checkpoint
