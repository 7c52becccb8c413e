#include "bench/decode.h"

#include <ATen/Parallel.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/clock.h"
#include "base/error.h"
#include "base/host/memory_use.h"
#include "bench/decode_floor.h"
#include "model/tensor.h"

namespace ferry::bench {

namespace {

FrameSize latent_size(const DecodeCase& what) {
  const std::int64_t space = model::spatial_scale(what.config);
  const std::int64_t time = model::temporal_scale(what.config);
  const bool whole = what.width % space == 0 && what.height % space == 0 && (what.frames - 1) % time == 0;
  if (!whole || what.width < space || what.height < space || what.frames < 1 || what.samples < 1) {
    throw std::invalid_argument("decode: " + std::to_string(what.width) + "x" + std::to_string(what.height) +
                                ", " + std::to_string(what.frames) + " frames, " +
                                std::to_string(what.samples) + " samples");
  }
  return {(what.frames - 1) / time + 1, what.height / space, what.width / space};
}

double decode_seconds(const DecodeCase& what, model::Weights& weights, Device& device,
                      const at::Tensor& latent) {
  std::vector<at::Tensor> sums;
  std::int64_t frames = 0;
  device.compute().synchronize();
  const auto begin = Clock::now();
  model::VaeDecoder decoder(what.config, weights, {&device, what.compute});
  decoder.decode(latent, [&](std::int64_t, const at::Tensor& part) {
    frames += part.size(1);
    sums.push_back(at::sum(part));
  });
  device.compute().synchronize();
  const double seconds = seconds_since(begin);
  const bool finite = std::all_of(sums.begin(), sums.end(),
                                  [](const at::Tensor& sum) { return std::isfinite(sum.item<float>()); });
  if (!finite || frames != what.frames) throw Error("decode: frames are missing or not finite");
  return seconds;
}

// Resets the process's peak to its current resident size, if permitted.
void forget_peak_memory() { std::ofstream("/proc/self/clear_refs") << 5; }

std::size_t weight_bytes(const model::NetworkSpec& spec) {
  std::size_t bytes = 0;
  const auto add = [&](const std::vector<model::ModuleSpec>& modules) {
    for (const auto& module : modules) {
      for (const auto& tensor : module.tensors) bytes += model::memory_format(tensor).bytes;
    }
  };
  add(spec.head);
  for (const auto& block : spec.blocks) add(block.modules);
  add(spec.tail);
  return bytes;
}

double spread(const std::vector<double>& samples) {
  const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
  return (*most - *least) / median(samples);
}

}  // namespace

DecodeResult measure_decode(const DecodeCase& what, model::Weights& weights, Device& device) {
  const FrameSize size = latent_size(what);
  DecodeResult result;
  result.measured = what;
  result.device = device.name();
  result.threads = at::get_num_threads();
  result.weight_bytes = weight_bytes(weights.spec());
  const at::Tensor latent =
      at::randn({what.config.z_dim, size.t, size.h, size.w}, at::device(model::torch_device(device)));

  const bool on_host = device.type() == DeviceType::Cpu;
  const std::size_t before = process_memory().rss_bytes;
  if (on_host) forget_peak_memory();
  decode_seconds(what, weights, device, latent);
  const std::size_t peak = process_memory().peak_rss_bytes;
  if (on_host && peak > before) result.peak_bytes = peak - before;

  DecodeFloor floor(what.config, size, what.compute, device);
  floor.seconds();
  result.tflop = floor.flop() * 1e-12;
  for (int i = 0; i < what.samples; ++i) {
    result.decode_seconds.push_back(decode_seconds(what, weights, device, latent));
    result.floor_seconds.push_back(floor.seconds());
  }
  return result;
}

double median(std::vector<double> samples) {
  if (samples.empty()) throw std::invalid_argument("median of nothing");
  std::sort(samples.begin(), samples.end());
  const std::size_t half = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[half] : (samples[half - 1] + samples[half]) / 2;
}

std::string to_json(const DecodeResult& result) {
  const double decode = median(result.decode_seconds);
  const double floor = median(result.floor_seconds);
  const nlohmann::ordered_json line = {{"measurement", "vae decode"},
                                       {"device", result.device},
                                       {"threads", result.threads},
                                       {"base_dim", result.measured.config.base_dim},
                                       {"width", result.measured.width},
                                       {"height", result.measured.height},
                                       {"frames", result.measured.frames},
                                       {"dtype", name_of(result.measured.compute)},
                                       {"samples", result.measured.samples},
                                       {"decode_s", decode},
                                       {"decode_spread", spread(result.decode_seconds)},
                                       {"floor_s", floor},
                                       {"floor_spread", spread(result.floor_seconds)},
                                       {"decode_over_floor", decode / floor},
                                       {"tflop", result.tflop},
                                       {"gflop_per_s", result.tflop * 1e3 / decode},
                                       {"weight_bytes", result.weight_bytes},
                                       {"peak_bytes", result.peak_bytes}};
  return line.dump();
}

}  // namespace ferry::bench
