#include "bench/compute_rates.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <memory>

#include "model/dit/linear.h"
#include "model/kernels/gelu.h"
#include "model/kernels/layer_norm.h"
#include "model/kernels/rms_norm_rope.h"
#include "model/tensor.h"
#include "worker/planner/step_time.h"

namespace ferry::bench {

namespace {

constexpr std::int64_t kPoolBytes = 110'000'000;    // more than a block, and than caches hold
constexpr std::int64_t kMostFlop = 15'000'000'000;  // of one timing on the CPU, more if one product has it
constexpr std::int64_t kSeed = std::int64_t{1} << 20;

at::TensorOptions options_of(const Probe& probe) {
  return at::TensorOptions(model::torch_device(probe.device)).dtype(model::scalar_type(probe.compute));
}

bool gpu_of(const Probe& probe) { return probe.device.type() == DeviceType::Cuda; }

struct LinearShape {
  std::int64_t in = 0;
  std::int64_t out = 0;
};

// Products [rows, in] x [in, out] with as many different weights as the pool holds.
class Products {
 public:
  Products(const Probe& probe, const at::Tensor& pool, std::int64_t rows, LinearShape shape)
      : x_(at::randn({rows, shape.in}, options_of(probe))),
        out_(at::empty({rows, shape.out}, options_of(probe))) {
    const std::int64_t size = shape.in * shape.out;
    const at::Tensor bias = at::zeros({shape.out}, options_of(probe));
    const auto most = gpu_of(probe) ? pool.numel() : std::max<std::int64_t>(1, kMostFlop / (2 * rows * size));
    for (std::int64_t i = 0; i < most && (i + 1) * size <= pool.numel(); ++i)
      weights_.push_back({pool.narrow(0, i * size, size).view({shape.out, shape.in}), bias});
  }
  void operator()() const {
    for (const std::vector<at::Tensor>& each : weights_)
      model::linear_out(out_, x_, model::ModuleView{.tensors = each});
  }
  double flop() const {
    return 2.0 * static_cast<double>(x_.size(0) * x_.size(1) * out_.size(1)) *
           static_cast<double>(weights_.size());
  }

 private:
  at::Tensor x_;
  at::Tensor out_;
  std::vector<std::vector<at::Tensor>> weights_;
};

// The elementwise kernels of one block.
class Passes {
 public:
  Passes(const Probe& probe, const RateShapes& shapes)
      : probe_(probe),
        dit_(shapes.dit),
        rows_(shapes.pass_rows),
        x_(at::randn({rows_, dit_.dim}, options_of(probe).dtype(at::kFloat))),
        u_(at::randn({rows_, dit_.dim}, options_of(probe))),
        q_(at::randn({rows_, dit_.dim}, options_of(probe))),
        hidden_(at::randn({rows_, dit_.ffn_dim}, options_of(probe))),
        row_(at::zeros({dit_.dim}, options_of(probe).dtype(at::kFloat))),
        rope_(at::zeros({rows_, dit_.head_dim()}, options_of(probe).dtype(at::kFloat))) {}

  void operator()() const {
    Stream& stream = probe_.device.compute();
    const model::kernels::LayerNorm norm = {.x = x_.data_ptr<float>(),
                                            .y = u_.data_ptr(),
                                            .y_type = probe_.compute,
                                            .gate = row_.data_ptr<float>(),
                                            .scale = row_.data_ptr<float>(),
                                            .shift = row_.data_ptr<float>(),
                                            .out = u_.data_ptr(),
                                            .out_type = probe_.compute,
                                            .rows = rows_,
                                            .dim = dit_.dim};
    model::kernels::layer_norm_modulate(norm, stream);
    rotated(rope_.data_ptr<float>());
    rotated(rope_.data_ptr<float>());
    model::kernels::layer_norm_affine(norm, stream);
    rotated(nullptr);
    model::kernels::layer_norm_modulate(norm, stream);
    model::kernels::gelu_tanh(hidden_.data_ptr(), probe_.compute, hidden_.numel(), stream);
  }

 private:
  void rotated(const float* rope) const {
    model::kernels::rms_norm_rope({.in = q_.data_ptr(),
                                   .out = q_.data_ptr(),
                                   .dtype = probe_.compute,
                                   .weight = row_.data_ptr<float>(),
                                   .rope = rope,
                                   .tokens = rows_,
                                   .rotated = rope == nullptr ? 0 : rows_,
                                   .heads = dit_.heads,
                                   .head_dim = dit_.head_dim()},
                                  probe_.device.compute());
  }

  const Probe& probe_;
  model::DitConfig dit_;
  std::int64_t rows_;
  at::Tensor x_;
  at::Tensor u_;
  at::Tensor q_;
  at::Tensor hidden_;
  at::Tensor row_;
  at::Tensor rope_;
};

}  // namespace

RateShapes rate_shapes(bool gpu) {
  if (!gpu) {
    return {.dit = {.layers = 2}, .rows = {80, 160, 320, 640}, .tokens = {160, 320, 640}};
  }
  return {.dit = {.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 2},
          .others = {{.dim = 1536, .ffn_dim = 8960, .heads = 12}},
          .rows = {2048, 8192, 32768},
          .tokens = {4096, 16384, 32768},
          .pass_rows = 8192,
          .width = 640,
          .height = 384,
          .frames = 33};
}

at::Tensor random_pool(const Probe& probe, std::int64_t elements) {
  const at::Tensor seed = at::randn({std::min(kSeed, elements)}, options_of(probe)).mul_(0.02);
  return seed.repeat({(elements + seed.numel() - 1) / seed.numel()}).narrow(0, 0, elements);
}

namespace {

std::vector<model::DitConfig> measured_dits(const RateShapes& shapes) {
  std::vector<model::DitConfig> all = {shapes.dit};
  all.insert(all.end(), shapes.others.begin(), shapes.others.end());
  return all;
}

void add_linear_rates(const Probe& probe, const RateShapes& shapes, const model::DitConfig& dit,
                      std::vector<worker::LinearRate>& rates) {
  const auto size = static_cast<std::int64_t>(size_of(probe.compute));
  const std::int64_t c = dit.dim;
  const std::int64_t f = dit.ffn_dim;
  const at::Tensor pool = random_pool(probe, std::max(kPoolBytes / size, 2 * c * f));
  for (const LinearShape shape : {LinearShape{c, c}, {c, f}, {f, c}}) {
    for (const std::int64_t rows : shapes.rows) {
      const Products products(probe, pool, rows, shape);
      const double seconds = seconds_of(probe, products);
      rates.push_back({rows, shape.in, shape.out, measured(1e-12 * products.flop() / seconds)});
    }
  }
}

void add_attention_rates(const Probe& probe, const RateShapes& shapes, const model::DitConfig& dit,
                         std::vector<worker::AttentionRate>& rates) {
  constexpr int kCalls = 2;
  const std::int64_t dim = dit.head_dim();
  const std::int64_t heads = std::max<std::int64_t>(1, dit.heads / probe.ranks);
  const auto add = [&](std::int64_t queries, std::int64_t keys, std::int64_t count) {
    const at::Tensor q = at::randn({queries, count * dim}, options_of(probe));
    const at::Tensor k = at::randn({keys, count * dim}, options_of(probe));
    const at::Tensor v = at::randn({keys, count * dim}, options_of(probe));
    const double seconds = seconds_of(probe, [&] {
      for (int i = 0; i < kCalls; ++i) probe.attention(q, k, v, dim);
    });
    const double flop = 4.0 * kCalls * static_cast<double>(queries * keys * count * dim);
    rates.push_back({queries, keys, count, measured(1e-12 * flop / seconds)});
  };
  for (const std::int64_t tokens : shapes.tokens) {
    add(tokens, tokens, heads);
    if (heads != dit.heads) add(tokens, tokens, dit.heads);
    add(tokens, dit.text_len, dit.heads);
  }
}

}  // namespace

std::vector<worker::LinearRate> linear_rates(const Probe& probe, const RateShapes& shapes) {
  std::vector<worker::LinearRate> rates;
  for (const model::DitConfig& dit : measured_dits(shapes)) add_linear_rates(probe, shapes, dit, rates);
  return rates;
}

std::vector<worker::AttentionRate> attention_rates(const Probe& probe, const RateShapes& shapes) {
  std::vector<worker::AttentionRate> rates;
  for (const model::DitConfig& dit : measured_dits(shapes)) add_attention_rates(probe, shapes, dit, rates);
  return rates;
}

worker::Rate pass_rate(const Probe& probe, const RateShapes& shapes) {
  const Passes passes(probe, shapes);
  const double seconds = seconds_of(probe, passes);
  const auto bytes = static_cast<double>(shapes.pass_rows * worker::pass_bytes(shapes.dit, probe.compute, 1));
  return measured(1e-9 * bytes / seconds);
}

std::function<void()> compute_load(const Probe& probe, const RateShapes& shapes) {
  const std::int64_t c = shapes.dit.dim;
  const std::int64_t f = shapes.dit.ffn_dim;
  const at::Tensor pool = random_pool(probe, 4 * c * f);
  const auto products =
      std::make_shared<Products>(probe, pool, shapes.rows[shapes.rows.size() / 2], LinearShape{c, f});
  // A quarter of a second: long beside what the ranks' clocks and threads differ by.
  constexpr double kSeconds = 0.25;
  constexpr double kMostCalls = 64;
  const double one = seconds_of(probe, *products);
  return [products, calls = static_cast<int>(std::clamp(kSeconds / one, 1.0, kMostCalls))] {
    for (int i = 0; i < calls; ++i) (*products)();
  };
}

}  // namespace ferry::bench
