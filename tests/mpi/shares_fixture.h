// A small DiT whose blocks are ferried in shares that the ranks gather from each other, on the devices of the
// program.  Slots are poisoned when they are released, so that a read too late, or a slice that lands in a
// slot still used, is a NaN and not luck.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "offload/async/async.h"
#include "tests/support/ranks_fixture.h"
#include "tests/unit/offload_dit.h"

namespace ferry::testing {

inline constexpr std::size_t kSmallSlice = 2048;  // of blocks of some 200 KB

class SharesTest : public DeviceRanksTest {
 protected:
  void SetUp() override {
    DeviceRanksTest::SetUp();
    if (has_device()) arena_ = dit_arena(offload::node_ranks(ranks()), {}, DType::BF16);
  }
  offload::NodeArena& arena() { return *arena_; }
  offload::StageSetup setup(offload::DeviceAccount& account) {
    return {.device = &device(),
            .account = &account,
            .peers = parallel::world_peers(session()),
            .copy_sharers = groups().copy_sharers.get(),
            .gather_stream = on_gpu() || own_gather_ ? nullptr : &session().comm(),
            .poison = true,
            .trace = trace_};
  }
  std::unique_ptr<offload::StageWeights> make(offload::DeviceAccount& account, const offload::AsyncPlan& plan,
                                              int prefetch = 1, double link_gbps = 0) {
    const offload::Options options{
        .type = offload::StrategyKind::Async, .prefetch_size = prefetch, .link_gbps = link_gbps};
    const offload::StagePlan stage = plan_over(*arena_, options);
    const offload::StageSetup where = setup(account);
    return std::make_unique<offload::StageWeights>(
        *arena_, stage, where, std::make_unique<offload::Async>(*arena_, stage, where, plan));
  }
  void gather_in_own_stream(bool own) { own_gather_ = own; }
  void trace_into(Trace* trace) { trace_ = trace; }  // nullptr: into none

 private:
  std::unique_ptr<offload::NodeArena> arena_;
  bool own_gather_ = false;
  Trace* trace_ = nullptr;
};

}  // namespace ferry::testing
