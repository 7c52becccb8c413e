// Offloading moves bytes and changes no result: for a given number of ranks, every strategy, ratio, depth,
// transport, interleave and guidance mode gives the bit-identical latent of `none`, on the devices of the
// program.  Slots are poisoned when they are released, so that a read too late is a NaN and not luck.
#include <gtest/gtest.h>

#include <tuple>

#include "tests/support/ranks_fixture.h"
#include "tests/unit/offload_counting.h"
#include "tests/unit/offload_dit.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::ranks;
using testing::same_bits;

struct Attempt {
  Options options;
  bool paired = true;
};

class SameBits : public testing::DeviceRanksTest {
 protected:
  StageSetup setup(DeviceAccount& account) {
    return {.device = &device(),
            .account = &account,
            .peers = world_peers(session()),
            .copy_sharers = groups().copy_sharers.get(),
            .gather_stream = on_gpu() ? nullptr : &session().comm()};
  }
  testing::DitRig rig(bool paired = true) {
    return {.device = &device(),
            .groups = size() == 1 ? nullptr : &groups(),
            .exchange_stream = &exchange(),
            .paired = paired};
  }
  at::Tensor latent(NodeArena& arena, const Attempt& run) {
    DeviceAccount account;
    at::Tensor x;
    {
      StageSetup poisoned = setup(account);
      poisoned.poison = true;
      const auto stage = testing::stage_over(arena, run.options, poisoned);
      x = testing::denoise(rig(run.paired), *stage).cpu();
      stage->finish();
    }
    EXPECT_EQ(account.now(), 0U);
    return x;
  }
  at::Tensor latent(const Attempt& run) {
    const auto arena = testing::dit_arena(node_ranks(ranks()), run.options, DType::BF16);
    return latent(*arena, run);
  }
};

TEST_F(SameBits, AsyncOverTheWholeMatrix) {
  const at::Tensor expected = latent({.options = {.type = StrategyKind::None}});
  ASSERT_FALSE(expected.isnan().any().item<bool>());
  const auto arena = testing::dit_arena(node_ranks(ranks()), {}, DType::BF16);
  for (const double ratio : {1.0, 0.5, 0.25}) {
    for (const int prefetch : {1, 2, 3}) {
      for (const Transport transport : {Transport::Full, Transport::Sharded}) {
        for (const Interleave interleave : {Interleave::Free, Interleave::Gated}) {
          for (const bool paired : {true, false}) {
            const Options options{.type = StrategyKind::Async,
                                  .offload_ratio = ratio,
                                  .prefetch_size = prefetch,
                                  .transport = transport,
                                  .interleave = interleave};
            EXPECT_TRUE(same_bits(latent(*arena, {options, paired}), expected))
                << ratio << " " << prefetch << " " << name_of(transport) << " " << name_of(interleave) << " "
                << (paired ? "paired" : "serial");
          }
        }
      }
    }
  }
}

// Cross-attention's k and v are ferried by the first forward alone; what the others ferry is divided evenly.
TEST_F(SameBits, LinksOfLaterForwardsAreEven) {
  const Options options{
      .type = StrategyKind::Async, .transport = Transport::Sharded, .interleave = Interleave::Free};
  const auto arena = testing::dit_arena(node_ranks(ranks()), options, DType::BF16);
  const auto after = [&](int steps) {
    DeviceAccount account;
    const auto stage = testing::stage_over(*arena, options, setup(account));
    testing::denoise(rig(), *stage, steps);
    return stage->report();
  };
  const Report three = after(3);
  const Report five = after(5);
  const std::uint64_t mine = (five.ferried_bytes - three.ferried_bytes) / 2;
  std::uint64_t wanted = 0;
  std::uint64_t shards = 0;
  const auto size = static_cast<std::uint64_t>(this->size());
  for (std::size_t b = 0; b < arena->layout().blocks.size(); ++b) {
    const BlockPlace& block = arena->layout().blocks[b];
    for (std::size_t m = 0; m < block.modules.size(); ++m) {
      if (!arena->spec().blocks[b].modules[m].once) wanted += block.modules[m].bytes;
    }
    shards += block.front / size;
  }
  const std::uint64_t padding = 7 * 256 * size;
  std::uint64_t all = 0;
  for (const std::string& each : all_gather_text(world_peers(session()), std::to_string(mine))) {
    EXPECT_LE(std::stoull(each), shards);
    EXPECT_GE(std::stoull(each) + padding, shards);
    all += std::stoull(each);
  }
  EXPECT_EQ(all, wanted);
  EXPECT_EQ((five.gathered_bytes - three.gathered_bytes) / 2, shards * (size - 1));
}

// The expected bits are those of messages, the shards of weights go by copies as well.
TEST_F(SameBits, AsyncByCopies) {
  use(parallel::ExchangeBy::Nccl);
  const at::Tensor expected = latent({.options = {.type = StrategyKind::None}});
  use(parallel::ExchangeBy::Copy);
  const auto arena = testing::dit_arena(node_ranks(ranks()), {}, DType::BF16);
  for (const int prefetch : {1, 2}) {
    for (const Transport transport : {Transport::Full, Transport::Sharded}) {
      for (const bool lazy : {false, true}) {
        for (const bool paired : {true, false}) {
          const Options options{.type = StrategyKind::Async,
                                .prefetch_size = prefetch,
                                .lazy_gpu_cache = lazy,
                                .transport = transport,
                                .interleave = Interleave::Free};
          EXPECT_TRUE(same_bits(latent(*arena, {options, paired}), expected))
              << prefetch << " " << name_of(transport) << " " << lazy << " " << paired;
        }
      }
    }
  }
}

// The part that is divided may be any.
TEST_F(SameBits, AsyncOfEveryShare) {
  const at::Tensor expected = latent({.options = {.type = StrategyKind::None}});
  const auto arena = testing::dit_arena(node_ranks(ranks()), {}, DType::BF16);
  for (const double share : {0.0, 0.25, 0.5, 1.0}) {
    for (const Interleave interleave : {Interleave::Free, Interleave::Gated}) {
      const Options options{.type = StrategyKind::Async, .share = share, .interleave = interleave};
      EXPECT_TRUE(same_bits(latent(*arena, {options, true}), expected))
          << share << " " << name_of(interleave);
    }
  }
}

TEST_F(SameBits, TheOtherStrategies) {
  const at::Tensor expected = latent({.options = {.type = StrategyKind::None}});
  Options sequential{.type = StrategyKind::Sequential};
  Options kept = sequential;
  kept.vram_limit = 1;
  Options partly = sequential;
  partly.vram_limit = 600'000.0 / (1 << 30);
  Options wide = sequential;
  wide.module_config = {{"offload_dtype", "fp32"}};
  Options linears = sequential;
  linears.module_map = "linear";
  const auto arena = testing::dit_arena(node_ranks(ranks()), {}, DType::BF16);
  const auto wide_arena = testing::dit_arena(node_ranks(ranks()), wide, DType::BF16);
  const Options lazy{.type = StrategyKind::Async,
                     .lazy_gpu_cache = true,
                     .transport = Transport::Full,
                     .interleave = Interleave::Free};
  const Options unpinned{.type = StrategyKind::Async,
                         .pin_cpu_memory = false,
                         .transport = Transport::Full,
                         .interleave = Interleave::Free};
  for (const bool paired : {true, false}) {
    for (const Options& options : {Options{.type = StrategyKind::None}, Options{.type = StrategyKind::Model},
                                   Options{.type = StrategyKind::Async, .offload_ratio = 0}, lazy, unpinned,
                                   sequential, kept, partly, linears}) {
      EXPECT_TRUE(same_bits(latent(*arena, {options, paired}), expected)) << name_of(options.type);
    }
    EXPECT_TRUE(same_bits(latent(*wide_arena, {wide, paired}), expected));
  }
}

// What base/ is asked for, on each device; a GPU's own calls are counted by offload_calls_mpi_gpu_test.
class ForwardsOfRanks : public SameBits {};

TEST_F(ForwardsOfRanks, LaterOnesAllocateNothingMakeNoEventAndDoNotWait) {
  for (const auto by : {parallel::ExchangeBy::Nccl, parallel::ExchangeBy::Copy}) {
    use(by);
    for (const Options& options : testing::ways_of_weights()) {
      testing::CountingDevice counting(device());
      DeviceAccount account;
      StageSetup counted = setup(account);
      counted.device = &counting;
      testing::DitRig counted_rig = rig();
      counted_rig.device = &counting;
      counted_rig.exchange_stream = &counting.counted(exchange());
      if (!on_gpu()) counted.gather_stream = counted_rig.exchange_stream;
      const auto arena = testing::dit_arena(node_ranks(ranks()), options, DType::BF16);
      const auto stage = testing::stage_over(*arena, options, counted);
      testing::DitForwards forwards(counted_rig, *stage);
      for (int i = 0; i < 2; ++i) forwards.run(900);
      counting.counts = {};
      for (const double timestep : {900.0, 650.0}) forwards.run(timestep);
      EXPECT_EQ(counting.counts.total(), 0) << name_of(options.type) << " " << name_of(options.transport);
    }
  }
}

// Accounted peaks: none > model > async > sequential, and async's rises with its depth.
TEST_F(SameBits, DeviceMemoryHasTheDocumentsOrder) {
  // Two stages; `none` holds both for the program's life, the others one at a time.
  const auto peak = [&](const Options& options) {
    DeviceAccount account;
    const auto first_arena = testing::dit_arena(node_ranks(ranks()), options, DType::BF16);
    const auto second_arena = testing::dit_arena(node_ranks(ranks()), options, DType::BF16);
    const auto first = testing::stage_over(*first_arena, options, setup(account));
    testing::denoise(rig(), *first, 1);
    first->finish();
    const auto second = testing::stage_over(*second_arena, options, setup(account));
    testing::denoise(rig(), *second, 1);
    return account.peak();
  };
  const std::size_t none = peak({.type = StrategyKind::None});
  const std::size_t model = peak({.type = StrategyKind::Model});
  std::vector<std::size_t> async;
  for (const int prefetch : {1, 2, 3})
    async.push_back(peak({.type = StrategyKind::Async,
                          .prefetch_size = prefetch,
                          .transport = Transport::Full,
                          .interleave = Interleave::Free}));
  const std::size_t sequential = peak({.type = StrategyKind::Sequential});
  EXPECT_GT(none, model);
  EXPECT_GT(model, async[2]);
  EXPECT_GT(async[2], async[1]);
  EXPECT_GT(async[1], async[0]);
  EXPECT_GT(async[0], sequential);
}

}  // namespace
}  // namespace ferry::offload
