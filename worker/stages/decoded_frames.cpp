#include "worker/stages/decoded_frames.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "worker/output/frames.h"

namespace ferry::worker {

DecodedFrames::DecodedFrames(Rank& rank, parallel::Group* group, const Job& job,
                             std::function<void(const FrameChunk&)> done)
    : rank_(rank),
      group_(group),
      band_(model::vae::band_of(group, job.latent_shape[2])),
      done_(std::move(done)),
      copies_(rank.device->make_stream("frames", Priority::Normal)),
      flags_(*rank.device, static_cast<std::size_t>(job.latent_shape[1])) {
  for (auto& event : computed_) event = rank.device->make_event(EventKind::Order);
  if (rank.is_first()) whole_ = at::empty({job.frames, job.height, job.width, 3}, at::kByte);
}

void DecodedFrames::take(std::int64_t first, const at::Tensor& decoded) {
  const std::int64_t index = taken_++;
  flags_.look(static_cast<std::size_t>(index), decoded);
  at::Tensor rgb = to_rgb8(decoded);
  if (band_.split()) rgb = model::vae::gather_rows_on_first(band_, rgb, rank_.device->compute());
  rank_.device->compute().record(*computed_[static_cast<std::size_t>(index % 2)]);
  if (pending_) collect();
  pending_ = {{.index = index, .first = first, .frames = decoded.size(1), .rgb = {}}, rgb};
}

void DecodedFrames::collect() {
  Pending pending = *std::exchange(pending_, {});
  FrameChunk& chunk = pending.chunk;
  const Event& computed = *computed_[static_cast<std::size_t>(chunk.index % 2)];
  rank_.wait_for(computed);
  if (whole_.defined()) {
    chunk.rgb = whole_.narrow(0, chunk.first, chunk.frames);
    copies_->copy(chunk.rgb.mutable_data_ptr(), pending.rgb.const_data_ptr(), pending.rgb.nbytes());
    copies_->synchronize();
  }
  chunk.finite = flags_.finite(static_cast<std::size_t>(chunk.index));
  if (group_ != nullptr) chunk.finite = rank_.session->all_agree(chunk.finite);
  done_(chunk);
}

at::Tensor DecodedFrames::finish() {
  if (pending_) collect();
  return whole_;
}

}  // namespace ferry::worker
