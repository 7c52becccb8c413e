#include "offload/whole_model.h"

#include "offload/transport/resident.h"

namespace ferry::offload {

namespace {

class WholeModel final : public Strategy {
 public:
  WholeModel(NodeArena& arena, const StagePlan& plan, const StageSetup& setup, bool stays)
      : blocks_(static_cast<int>(arena.spec().blocks.size())),
        device_(*setup.device),
        stays_(stays),
        link_(plan.link_gbps, chunk_bytes(setup.device->type())),
        resident_(arena, *setup.device, *setup.account) {}
  ~WholeModel() override {
    try {
      WholeModel::drop();
    } catch (...) {  // already reported by an earlier call
    }
  }
  void prepare() override {
    resident_.add(model::ModuleId::kHead, link_);
    for (int b = 0; b < blocks_; ++b) resident_.add(b, link_);
    resident_.add(model::ModuleId::kTail, link_);
  }
  void finish() override {
    if (!stays_) drop();
  }
  void drop() override {
    device_.compute().synchronize();
    resident_.clear();
  }
  std::span<const at::Tensor> acquire(model::ModuleId id) override { return resident_[id]; }
  void describe(Report& report) const override {
    report.type = stays_ ? StrategyKind::None : StrategyKind::Model;
    report.copied_once_bytes = link_.copied_bytes();
  }

 private:
  int blocks_;
  Device& device_;
  bool stays_;
  Link link_;
  Resident resident_;
};

}  // namespace

std::unique_ptr<Strategy> make_whole_model(NodeArena& arena, const StagePlan& plan, const StageSetup& setup,
                                           bool stays) {
  return std::make_unique<WholeModel>(arena, plan, setup, stays);
}

}  // namespace ferry::offload
