#include "bench/forward.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/clock.h"
#include "base/error.h"
#include "bench/decode.h"
#include "bench/forward_floor.h"
#include "model/tensor.h"
#include "model/torch_stream.h"

namespace ferry::bench {

namespace {

constexpr std::int64_t kPixels = 8;  // pixels per latent pixel along each edge
constexpr std::int64_t kPatch = 2;

void check(const ForwardCase& what) {
  const std::int64_t edge = kPixels * kPatch;
  const bool whole = what.width % edge == 0 && what.height % edge == 0 && (what.frames - 1) % 4 == 0;
  if (!whole || std::min({what.width, what.height, what.frames}) < 1 || what.samples < 1 ||
      what.warmups < 0 || what.branches < 1) {
    throw std::invalid_argument("forward: " + std::to_string(what.width) + "x" + std::to_string(what.height) +
                                ", " + std::to_string(what.frames) + " frames, " +
                                std::to_string(what.samples) + " samples, " + std::to_string(what.branches) +
                                " branches");
  }
}

at::Tensor noise(at::IntArrayRef shape, const Device& device) {
  return at::randn(shape, at::device(model::torch_device(device)));
}

double tflop_of(const ForwardCase& what, std::int64_t tokens) {
  const auto l = static_cast<double>(tokens);
  const auto c = static_cast<double>(what.config.dim);
  const double self = 8 * l * c * c + 4 * l * l * c;
  const double cross = 4 * l * c * c + 4 * l * static_cast<double>(what.config.text_len) * c;
  const double ffn = 4 * l * c * static_cast<double>(what.config.ffn_dim);
  return (self + cross + ffn) * static_cast<double>(what.config.layers * what.branches) * 1e-12;
}

// The measured forward, always of the same latent and prompts.
class Subject {
 public:
  Subject(const ForwardCase& what, model::Weights& weights, const model::DitRuntime& runtime)
      : device_(*runtime.device),
        dit_(what.config, weights, runtime),
        latent_(noise(
            {what.config.in_channels, (what.frames - 1) / 4 + 1, what.height / kPixels, what.width / kPixels},
            device_)) {
    for (int i = 0; i < what.branches; ++i) {
      contexts_.push_back(dit_.encode_context(noise({what.config.text_len, what.config.text_dim}, device_)));
    }
    for (model::DitContext& context : contexts_) branches_.push_back(&context);
  }

  double seconds() {
    device_.compute().synchronize();
    const auto begin = Clock::now();
    const auto velocity = dit_.forward(latent_, 500, branches_);
    device_.compute().synchronize();
    const double seconds = seconds_since(begin);
    if (!std::isfinite(at::sum(velocity.back()).item<float>()))
      throw Error("forward: the result is not finite");
    return seconds;
  }

 private:
  Device& device_;
  model::Dit dit_;
  at::Tensor latent_;
  std::vector<model::DitContext> contexts_;
  std::vector<model::DitContext*> branches_;
};

double spread(const std::vector<double>& samples) {
  const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
  return (*most - *least) / median(samples);
}

std::vector<double> floors(const ForwardResult& result) {
  std::vector<double> sums;
  for (std::size_t i = 0; i < result.linear_seconds.size(); ++i) {
    sums.push_back(result.linear_seconds[i] + result.attention_seconds[i]);
  }
  return sums;
}

}  // namespace

ForwardResult measure_forward(const ForwardCase& what, model::Weights& weights,
                              const model::DitRuntime& runtime) {
  check(what);
  const at::NoGradGuard no_grad;
  const model::TorchStream on(*runtime.device);
  ForwardResult result;
  result.measured = what;
  result.compute = runtime.compute;
  result.device = runtime.device->name();
  result.ranks = runtime.ulysses == nullptr ? 1 : runtime.ulysses->size();
  result.threads = at::get_num_threads();
  result.tokens =
      ((what.frames - 1) / 4 + 1) * (what.height / (kPixels * kPatch)) * (what.width / (kPixels * kPatch));
  result.tflop = tflop_of(what, result.tokens);

  Subject subject(what, weights, runtime);
  subject.seconds();
  if (what.after_first) what.after_first();
  ForwardFloor floor(what.config, weights, runtime, result.tokens, what.branches);
  for (int i = 0; i < what.warmups; ++i) {
    subject.seconds();
    floor.seconds();
  }
  for (int i = 0; i < what.samples; ++i) {
    result.forward_seconds.push_back(subject.seconds());
    const FloorSeconds alone = floor.seconds();
    result.linear_seconds.push_back(alone.linear);
    result.attention_seconds.push_back(alone.attention);
  }
  return result;
}

void take_slower_floor(ForwardResult& result, const ForwardResult& other) {
  for (std::size_t i = 0; i < result.linear_seconds.size(); ++i) {
    const double mine = result.linear_seconds[i] + result.attention_seconds[i];
    if (other.linear_seconds.at(i) + other.attention_seconds.at(i) <= mine) continue;
    result.linear_seconds[i] = other.linear_seconds[i];
    result.attention_seconds[i] = other.attention_seconds[i];
  }
}

std::string to_json(const ForwardResult& result) {
  const double forward = median(result.forward_seconds);
  const double floor = median(floors(result));
  const model::DitConfig& config = result.measured.config;
  const nlohmann::ordered_json line = {{"measurement", "dit forward"},
                                       {"device", result.device},
                                       {"ranks", result.ranks},
                                       {"threads", result.threads},
                                       {"dim", config.dim},
                                       {"heads", config.heads},
                                       {"layers", config.layers},
                                       {"width", result.measured.width},
                                       {"height", result.measured.height},
                                       {"frames", result.measured.frames},
                                       {"tokens", result.tokens},
                                       {"branches", result.measured.branches},
                                       {"dtype", name_of(result.compute)},
                                       {"samples", result.measured.samples},
                                       {"forward_s", forward},
                                       {"forward_spread", spread(result.forward_seconds)},
                                       {"linear_s", median(result.linear_seconds)},
                                       {"attention_s", median(result.attention_seconds)},
                                       {"floor_s", floor},
                                       {"floor_of", "slowest rank"},
                                       {"floor_spread", spread(floors(result))},
                                       {"forward_over_floor", forward / floor},
                                       {"tflop", result.tflop},
                                       {"gflop_per_s", result.tflop * 1e3 / forward}};
  return line.dump();
}

}  // namespace ferry::bench
