// Weights that are simply there, beside the copies that ferrying them would have made.
#pragma once

#include <memory>

#include "offload/residency.h"
#include "offload/stage.h"
#include "offload/transport/link.h"

namespace ferry::bench {

// Serves `inner` and, when an offloaded block is acquired, queues the copy of as many bytes over a link of
// the same speed into memory that nobody reads.  Nothing waits for these copies.
class ShadowTraffic final : public model::Weights {
 public:
  // Copies whole blocks until match() says otherwise.
  ShadowTraffic(offload::StageWeights& inner, const offload::NodeArena& arena, Device& device,
                const offload::Residency& residency, double link_gbps);
  ~ShadowTraffic() override;

  // Spreads that many bytes over the offloaded blocks of one step of `passes` passes.
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
  double share_ = 1;  // of each block
  offload::Link link_;
  std::unique_ptr<Stream> copy_;
  DeviceMemory scratch_;
};

}  // namespace ferry::bench
