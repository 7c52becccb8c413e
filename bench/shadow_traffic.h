// Resident weights, with the copy traffic that ferrying them would cause.
#pragma once

#include <memory>

#include "offload/residency.h"
#include "offload/stage.h"
#include "offload/transport/link.h"

namespace ferry::bench {

// Serves `inner` and, when an offloaded block is acquired, queues a copy of as many bytes over a link of the
// same speed into unused memory.  Nothing waits for these copies.
class ShadowTraffic final : public model::Weights {
 public:
  // Copies whole blocks until match() is called.
  ShadowTraffic(offload::StageWeights& inner, const offload::NodeArena& arena, Device& device,
                const offload::Residency& residency, double link_gbps);
  ~ShadowTraffic() override;

  // Spreads `bytes_per_step` over the offloaded blocks of one step of `passes` passes.
  void match(double bytes_per_step, int passes);
  void drain() { copy_->synchronize(); }

  const model::NetworkSpec& spec() const override { return inner_.spec(); }
  void begin(const model::PassKey& key) override { inner_.begin(key); }
  void end() override { inner_.end(); }
  void acquire_block(int block) override;
  void release_block(int block) override { inner_.release_block(block); }
  model::ModuleView acquire(model::ModuleId id) override { return inner_.acquire(id); }
  void release(model::ModuleId id) override { inner_.release(id); }
  std::span<const at::Tensor> on_host(model::ModuleId id) override { return inner_.on_host(id); }

 private:
  offload::StageWeights& inner_;
  const offload::NodeArena& arena_;
  std::vector<bool> offloaded_;
  double share_ = 1;  // fraction of each block that is copied
  offload::Link link_;
  std::unique_ptr<Stream> copy_;
  DeviceMemory scratch_;
};

}  // namespace ferry::bench
