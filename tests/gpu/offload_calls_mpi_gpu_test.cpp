// What a forward on several GPUs asks of the CUDA runtime itself, beneath base/, parallel/ and LibTorch. NCCL
// has a runtime of its own inside, whose calls are not seen; exchanges and gathers by copies make none of it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/gpu/cuda_calls.h"
#include "tests/support/ranks_fixture.h"
#include "tests/unit/offload_dit.h"

namespace ferry::offload {
namespace {

using testing::cuda_calls;
using testing::CudaCalls;
using testing::ranks;

class CudaCallsOfRanks : public testing::DeviceRanksTest {
 protected:
  // Of `later` forwards after two, both guidance branches in each.
  CudaCalls calls_of_forwards(const Options& options, int later) {
    DeviceAccount account;
    const auto arena = testing::dit_arena(node_ranks(ranks()), options, DType::BF16);
    const auto stage = testing::stage_over(*arena, options,
                                           {.device = &device(),
                                            .account = &account,
                                            .peers = world_peers(session()),
                                            .copy_sharers = groups().copy_sharers.get(),
                                            .gather_stream = on_gpu() ? nullptr : &session().comm(),
                                            .poison = true});
    testing::DitForwards forwards({.device = &device(), .groups = &groups(), .exchange_stream = &exchange()},
                                  *stage);
    for (int i = 0; i < 2; ++i) forwards.run(900);
    const CudaCalls before = cuda_calls();
    for (int i = 0; i < later; ++i) forwards.run(900 - 250 * i);
    return cuda_calls() - before;
  }
};

TEST_F(CudaCallsOfRanks, ForwardsAllocateNothingMakeNoEventAndDoNotWait) {
  for (const auto by : {parallel::ExchangeBy::Copy, parallel::ExchangeBy::Nccl}) {
    use(by);
    const bool copies = groups().ulysses->backend().find("cop") != std::string::npos;
    EXPECT_EQ(copies, by == parallel::ExchangeBy::Copy) << groups().ulysses->backend();
    for (const Options& options : testing::ways_of_weights()) {
      for (const int later : {1, 3}) {
        const CudaCalls calls = calls_of_forwards(options, later);
        const std::string way = fmt::format("{} {} {}, {}", name_of(options.type), name_of(options.transport),
                                            name_of(options.interleave), groups().ulysses->backend());
        EXPECT_EQ(calls.allocations, 0) << way;
        EXPECT_EQ(calls.made, 0) << way;
        EXPECT_EQ(calls.host_waits, 0) << way;
        EXPECT_EQ(calls.pinned, 0) << way;
      }
    }
  }
}

}  // namespace
}  // namespace ferry::offload
