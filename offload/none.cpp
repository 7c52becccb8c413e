#include "offload/none.h"

#include <utility>

#include "offload/whole_model.h"

namespace ferry::offload {

namespace {

class InPlace final : public Strategy {
 public:
  InPlace(NodeArena& arena, DeviceAccount& account)
      : arena_(arena), account_(account), views_(arena.stored(), arena.layout(), arena.data()) {}
  ~InPlace() override { InPlace::drop(); }
  void prepare() override {
    if (!std::exchange(counted_, true)) account_.take(Category::Resident, device_bytes());
  }
  void finish() override {}
  void drop() override {
    if (std::exchange(counted_, false)) account_.give(Category::Resident, device_bytes());
  }
  std::span<const at::Tensor> acquire(model::ModuleId id) override { return views_[id]; }
  void describe(Report& report) const override { report.type = StrategyKind::None; }

 private:
  std::size_t device_bytes() const {
    const ArenaLayout& layout = arena_.layout();
    return layout.head.blob.bytes + layout.block_bytes() + layout.tail.blob.bytes;
  }
  NodeArena& arena_;
  DeviceAccount& account_;
  HostViews views_;
  bool counted_ = false;
};

}  // namespace

std::unique_ptr<Strategy> make_none(NodeArena& arena, const StagePlan& plan, const StageSetup& setup) {
  if (setup.device->type() == DeviceType::Cuda) return make_whole_model(arena, plan, setup, true);
  return std::make_unique<InPlace>(arena, *setup.account);
}

}  // namespace ferry::offload
