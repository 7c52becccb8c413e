#include "offload/stage.h"

#include <stdexcept>
#include <utility>

namespace ferry::offload {

StageWeights::StageWeights(NodeArena& arena, StagePlan plan, const StageSetup& setup,
                           std::unique_ptr<Strategy> strategy)
    : arena_(arena),
      plan_(std::move(plan)),
      order_(arena.spec().name, static_cast<int>(arena.spec().blocks.size())),
      host_(arena.stored(), arena.layout(), arena.data()),
      loras_(arena.spec(), *setup.account),
      strategy_(std::move(strategy)) {}

void StageWeights::prepare() { strategy_->prepare(); }

void StageWeights::finish() { strategy_->finish(); }

void StageWeights::drop() { strategy_->drop(); }

void StageWeights::set_loras(std::map<std::string, model::Lora> loras) {
  for (const model::ModuleId id : all_modules(spec())) {
    const std::string& name = model::module_of(spec(), id).name;
    if (!loras.contains(name) || strategy_->takes_lora(id)) continue;
    throw std::invalid_argument("LoRA of " + name +
                                ": only AutoWrappedLinear applies it (offload.module_map)");
  }
  loras_.set(std::move(loras));
}

Report StageWeights::report() const {
  Report report;
  report.stage = arena_.spec().name;
  report.type_why = plan_.why;
  report.predicted_step_s = plan_.predicted_step_s;
  report.blocks = static_cast<int>(arena_.spec().blocks.size());
  report.host_memory = name_of(arena_.kind());
  report.host_bytes = arena_.bytes();
  report.huge_bytes = arena_.huge_bytes();
  report.pinned = arena_.pinned();
  report.passes = passes_;
  strategy_->describe(report);
  return report;
}

void StageWeights::begin(const model::PassKey& key) {
  order_.begin(key);
  prepare();
  strategy_->begin(key);
}

void StageWeights::end() {
  ++passes_;
  strategy_->end();
  order_.end();
}

void StageWeights::acquire_block(int block) {
  order_.acquire(block);
  strategy_->acquire_block(block);
}

void StageWeights::release_block(int block) {
  order_.release(block);
  strategy_->release_block(block);
}

model::ModuleView StageWeights::acquire(model::ModuleId id) {
  order_.check_module(id);
  return {.tensors = strategy_->acquire(id), .lora = loras_.find(id)};
}

void StageWeights::release(model::ModuleId id) { strategy_->release(id); }

}  // namespace ferry::offload
