// ferry_bench_offload SIZE FRAMES LAYERS fp32|bf16 COPY/COMPUTE[,...] [SAMPLES]: JSON lines of
// bench/offload.h for async over an emulated link, on the CPU, with random weights of T2V-1.3B's layers.  The
// link is made so slow that the copies of a step take COPY/COMPUTE times its compute.  Under mpirun the ranks
// are one Ulysses group, and both transports are measured.
#include <iostream>
#include <sstream>
#include <string>

#include "base/log.h"
#include "bench/decode.h"
#include "bench/offload.h"
#include "parallel/groups.h"

namespace ferry {
namespace {

// Uniform bits of a small float, so that nothing is measured on zeros.
offload::TensorSource random_source() {
  return [](const model::TensorSpec& spec, std::byte* tensor, std::int64_t row_begin, std::int64_t row_end) {
    std::int64_t row = 1;
    for (std::size_t d = 1; d < spec.shape.size(); ++d) row *= spec.shape[d];
    std::uint64_t state = std::hash<std::string>{}(spec.key) + static_cast<std::uint64_t>(row_begin);
    const float scale = 1.0F / static_cast<float>(std::max<std::int64_t>(row, 64));
    for (std::int64_t i = row_begin * row; i < row_end * row; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      const float value = (static_cast<float>(state >> 40) / 16777216.0F - 0.5F) * scale * 8;
      convert(tensor + static_cast<std::size_t>(i) * size_of(spec.dtype), spec.dtype, &value, DType::F32, 1);
    }
  };
}

struct Bench {
  parallel::Session& ranks;
  std::unique_ptr<Device> device = make_cpu_device();
  parallel::Groups groups = parallel::make_groups(
      ranks, {.data = 1, .cfg = 1, .ulysses = ranks.size(), .ulysses_index = ranks.rank()}, *device);
  offload::DeviceAccount account{};

  offload::StageSetup setup() {
    return {.device = device.get(),
            .account = &account,
            .peers = parallel::world_peers(ranks),
            .weights = groups.weights.get(),
            .gather = &ranks.comm()};
  }
  model::DitRuntime runtime(DType compute) {
    model::DitRuntime runtime;
    runtime.device = device.get();
    runtime.ulysses = ranks.size() == 1 ? nullptr : groups.ulysses.get();
    runtime.exchange = &ranks.comm();
    runtime.compute = compute;
    return runtime;
  }
};

void print(parallel::Session& ranks, const bench::OffloadCase& what,
           const std::vector<bench::OffloadResult>& results) {
  for (const bench::OffloadResult& result : results) {
    if (ranks.rank() == 0) std::cout << to_json(what, result) << std::endl;
  }
}

// The speed at which one step's bytes take `ratio` times its compute.
double link_for(double ratio, const bench::OffloadResult& free) {
  return free.bytes_per_step / (ratio * bench::median(free.compute_seconds)) * 1e-9;
}

int run(const std::vector<std::string>& arguments, parallel::Session& ranks) {
  bench::OffloadCase what;
  const std::size_t x = arguments.at(0).find('x');
  what.width = std::stoll(arguments[0].substr(0, x));
  what.height = std::stoll(arguments[0].substr(x + 1));
  what.frames = std::stoll(arguments.at(1));
  what.config.layers = std::stoll(arguments.at(2));
  const DType compute = dtype_from_name(arguments.at(3));
  if (arguments.size() > 5) what.samples = std::stoi(arguments[5]);
  Bench bench{ranks};
  offload::NodeArena arena(offload::arena_plan(model::dit_spec(what.config, compute), ranks.node_size()),
                           offload::node_ranks(ranks));
  arena.load(random_source(), 1, {});

  bench::OffloadCase probe = what;
  probe.samples = 1;
  const offload::Options full{.type = offload::StrategyKind::Async,
                              .transport = offload::Transport::Full,
                              .interleave = offload::Interleave::Free,
                              .link_gbps = 4};
  probe.variants = {full};
  const bench::OffloadResult free = measure_offload(probe, arena, bench.setup(), bench.runtime(compute))[0];
  std::istringstream ratios(arguments.at(4));
  for (std::string word; std::getline(ratios, word, ',');) {
    const double link = std::stod(ranks.broadcast(std::to_string(link_for(std::stod(word), free)), 0));
    what.variants.clear();
    for (const double offloaded : {1.0, 0.5}) {
      offload::Options options = full;
      options.offload_ratio = offloaded;
      options.link_gbps = link;
      what.variants.push_back(options);
    }
    if (ranks.size() > 1) {
      what.variants[1] = what.variants[0];
      what.variants[1].transport = offload::Transport::Sharded;
    }
    print(ranks, what, measure_offload(what, arena, bench.setup(), bench.runtime(compute)));
  }
  return 0;
}

}  // namespace
}  // namespace ferry

int main(int argc, char** argv) {
  ferry::parallel::Session ranks(argc, argv);
  try {
    ferry::start_log("info", ranks.rank(), ranks.size());
    return ferry::run({argv + 1, argv + argc}, ranks);
  } catch (const std::exception& error) {
    ranks.abort(error.what());
  }
}
