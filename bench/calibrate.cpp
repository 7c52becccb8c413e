#include "bench/calibrate.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstring>
#include <vector>

#include "base/clock.h"
#include "base/host/memory_use.h"
#include "bench/decode_floor.h"
#include "bench/traffic_rates.h"
#include "bench/whole_block.h"
#include "model/torch_stream.h"
#include "offload/need.h"

namespace ferry::bench {

namespace {

constexpr double kDecodeOverFloor = 1.15;  // norms, caches and copies of a decode (docs/planner.md)
constexpr double kNetworkGbps = 25;        // one port of 200 Gbit/s
constexpr double kNetworkSeconds = 30e-6;

worker::Rate assumed(double value) { return {.value = value, .source = worker::RateSource::Assumed}; }

// Files are placed in memory that nobody has touched: GB/s.
double first_touch_gbps() {
  constexpr std::size_t kBytes = std::size_t{1} << 28;
  const std::vector<std::byte> source(kBytes, std::byte{1});
  const Clock::time_point begin = Clock::now();
  const std::vector<std::byte> copy(source);
  const double seconds = seconds_since(begin);
  return 1e-9 * static_cast<double>(copy.size()) / seconds;
}

double pin_gbps(Device& device) {
  constexpr std::size_t kBytes = std::size_t{1} << 29;
  std::vector<std::byte> memory(kBytes, std::byte{1});
  const Clock::time_point begin = Clock::now();
  device.pin(memory.data(), kBytes);
  const double seconds = seconds_since(begin);
  device.unpin(memory.data());
  return 1e-9 * static_cast<double>(kBytes) / seconds;
}

double decode_tflops(const Probe& probe) {
  const bool gpu = probe.device.type() == DeviceType::Cuda;
  const FrameSize latent = gpu ? FrameSize{3, 60, 104} : FrameSize{2, 8, 8};
  DecodeFloor floor(model::VaeConfig{}, latent, DType::F32, probe.device);
  floor.seconds();
  const double seconds = floor.seconds();
  return floor.flop() * 1e-12 / (seconds * kDecodeOverFloor);
}

}  // namespace

worker::RankRates measure_rank_rates(const Probe& probe) {
  const at::NoGradGuard no_grad;
  const model::TorchStream on(probe.device);
  const bool gpu = probe.device.type() == DeviceType::Cuda;
  const RateShapes shapes = rate_shapes(gpu);
  worker::RankRates rates;
  rates.ranks = probe.ranks;
  rates.threads = gpu ? 0 : at::get_num_threads();
  rates.linear = linear_rates(probe, shapes);
  rates.attention = attention_rates(probe, shapes);
  rates.pass_gbps = pass_rate(probe, shapes);
  measure_traffic(probe, shapes, rates);
  measure_blocks(probe, shapes, rates);
  return rates;
}

worker::MachineRates measure_machine(const Probe& probe, double init_s) {
  const at::NoGradGuard no_grad;
  const model::TorchStream on(probe.device);
  worker::MachineRates machine;
  machine.name = "this machine";
  machine.device = probe.device.name();
  machine.dtype = name_of(probe.compute);
  machine.gpu = probe.device.type() == DeviceType::Cuda;
  const auto gib = [](std::size_t bytes) { return measured(static_cast<double>(bytes) / offload::kGiB); };
  machine.host_gib = gib(host_memory().total_bytes);
  machine.device_gib = machine.gpu ? gib(probe.device.memory().total_bytes) : machine.host_gib;
  machine.network_gbps = assumed(kNetworkGbps);
  machine.network_s = assumed(kNetworkSeconds);
  machine.init_s = measured(init_s);
  machine.read_gbps = measured(first_touch_gbps());
  machine.pin_gbps = machine.gpu ? measured(pin_gbps(probe.device)) : assumed(machine.read_gbps.value);
  machine.decode_tflops = measured(decode_tflops(probe));
  return machine;
}

}  // namespace ferry::bench
