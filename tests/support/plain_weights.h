// Weights that are simply there: every tensor of a spec in host memory of its own, or on a GPU.  For tests
// of the networks; the program uses offload/.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/weights.h"

namespace ferry::testing {

class PlainWeights : public model::Weights {
 public:
  // `fill` gives the tensor of a key: fp32 (or any float type), contiguous, of the spec's shape.  It is
  // cast to the spec's dtype and brought into its layout.
  PlainWeights(model::NetworkSpec spec, const std::function<at::Tensor(const model::TensorSpec&)>& fill,
               at::Device device = at::kCPU);
  const model::NetworkSpec& spec() const override { return spec_; }
  void begin(const model::PassKey&) override {}
  void end() override {}
  void acquire_block(int) override {}
  void release_block(int) override {}
  model::ModuleView acquire(model::ModuleId id) override;
  void release(model::ModuleId) override {}
  std::span<const at::Tensor> on_host(model::ModuleId id) override;

 private:
  model::NetworkSpec spec_;
  std::map<std::string, std::vector<at::Tensor>> tensors_;  // by module name
};

// All tensor specs of a network in the order head, blocks, tail.
std::vector<const model::TensorSpec*> all_tensors(const model::NetworkSpec& spec);

// The deterministic fill of wan21.md section 13 for a network whose official keys are `keys` (any order).
std::map<std::string, at::Tensor> golden_fill(
    const std::vector<std::pair<std::string, std::vector<int64_t>>>& keys);

// inp(shape, a, b) = fp32(sin(a + b * j)).
at::Tensor golden_input(std::vector<int64_t> shape, double a, double b);

}  // namespace ferry::testing
