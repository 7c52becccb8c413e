#include "base/error.h"
#include "offload/async.h"
#include "offload/none.h"
#include "offload/sequential.h"
#include "offload/stage.h"
#include "offload/whole_model.h"

namespace ferry::offload {

namespace {

bool on_cpu(const StageSetup& setup) { return setup.device->type() == DeviceType::Cpu; }

std::unique_ptr<Strategy> make_strategy(NodeArena& arena, const Options& options, const StageSetup& setup) {
  switch (options.type) {
    case Type::None:
      return on_cpu(setup) ? make_in_place(arena, setup) : make_whole_model(arena, options, setup, true);
    case Type::Model:
      return make_whole_model(arena, options, setup, false);
    case Type::Async:
      return make_async(arena, options, setup);
    case Type::Sequential:
      return make_sequential(arena, options, setup);
    default:
      throw UserError("offload.type: not yet");
  }
}

}  // namespace

std::unique_ptr<StageWeights> make_stage(NodeArena& arena, const Options& options, const StageSetup& setup) {
  if (options.pin_cpu_memory) arena.pin(*setup.device);
  return std::make_unique<StageWeights>(arena, setup, make_strategy(arena, options, setup));
}

}  // namespace ferry::offload
