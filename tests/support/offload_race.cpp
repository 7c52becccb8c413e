// Shows that ThreadSanitizer sees a slot that is given back too early:
//
//   offload_race           forwards as a network does them: nothing to report
//   offload_race --plant   each block is given back before its weights are read, so that the copy stream may
//                          already write the next block there: a data race
//
// Built with ThreadSanitizer alone (tests/unit/offload.cmake), whose exit code is the answer.
#include <chrono>
#include <string_view>
#include <thread>

#include "offload/async/annotate.h"
#include "offload/stage.h"
#include "tests/unit/offload_toy.h"

namespace {

using namespace ferry;

// A linear that takes its time, and then reads, as ThreadSanitizer is told of it.
void read(const at::Tensor& weight) {
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  offload::annotate_read(weight.const_data_ptr(), weight.nbytes());
}

void forward(model::Weights& weights, bool too_early) {
  model::PassScope pass(weights, {.kind = "forward"});
  for (int b = 0; b < static_cast<int>(weights.spec().blocks.size()); ++b) {
    weights.acquire_block(b);
    const at::Tensor q = weights.acquire({b, 2})[0];
    weights.release({b, 2});
    if (!too_early) read(q);
    weights.release_block(b);
    if (too_early) read(q);
  }
  pass.end();
}

}  // namespace

int main(int argc, char** argv) {
  const bool plant = argc > 1 && std::string_view(argv[1]) == "--plant";
  const auto device = make_cpu_device();
  offload::DeviceAccount account;
  const auto arena = testing::toy_arena({.layers = 7, .dim = 256});
  const auto stage = testing::stage_over(*arena, {.type = offload::StrategyKind::Async},
                                         {.device = device.get(), .account = &account, .peers = {}});
  for (int i = 0; i < 4; ++i) forward(*stage, plant);
  stage->finish();
}
