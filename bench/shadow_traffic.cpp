#include "bench/shadow_traffic.h"

#include <sys/prctl.h>

namespace ferry::bench {

using offload::block_of;

ShadowTraffic::ShadowTraffic(offload::StageWeights& inner, const offload::NodeArena& arena, Device& device,
                             const offload::Residency& residency, double link_gbps)
    : inner_(inner),
      arena_(arena),
      offloaded_(arena.spec().blocks.size()),
      link_(link_gbps, offload::chunk_bytes(device.type())),
      copy_(device.make_stream("ferry-shadow", Priority::High)),
      scratch_(device.allocate(arena.layout().largest_block())) {
  for (const int block : residency.offloaded) offloaded_[static_cast<std::size_t>(block)] = true;
  // As for async's copy stream.
  if (device.type() == DeviceType::Cpu) copy_->call([] { ::prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0); });
}

ShadowTraffic::~ShadowTraffic() {
  try {
    copy_->synchronize();
  } catch (...) {  // the copies are not read
  }
}

void ShadowTraffic::match(double bytes_per_step, int passes) {
  double whole = 0;
  for (std::size_t b = 0; b < offloaded_.size(); ++b) {
    if (offloaded_[b]) whole += static_cast<double>(arena_.layout().blocks[b].blob.bytes);
  }
  share_ = whole == 0 ? 0 : bytes_per_step / passes / whole;
}

void ShadowTraffic::acquire_block(int block) {
  if (offloaded_[static_cast<std::size_t>(block)]) {
    const offload::Blob& blob = block_of(arena_.layout(), block).blob;
    const auto bytes = static_cast<std::size_t>(share_ * static_cast<double>(blob.bytes));
    link_.copy(*copy_, scratch_.data(), arena_.at(blob), bytes);
  }
  inner_.acquire_block(block);
}

}  // namespace ferry::bench
