// Assembles the ranks' decoded rows in the first rank's host memory.
//
// The host stays one chunk ahead of the device: while it waits for a chunk and copies its frames, the next
// one is computed.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "model/vae/band.h"
#include "worker/job/job.h"
#include "worker/rank.h"
#include "worker/stages/finite_flags.h"

namespace ferry::worker {

// The frames of one latent frame.
struct FrameChunk {
  std::int64_t index = 0;
  std::int64_t first = 0;  // frame
  std::int64_t frames = 0;
  bool finite = true;  // all values on every rank
  at::Tensor rgb;      // first rank: [frames, H, W, 3] uint8 on the CPU, part of finish()'s
};

// Used on the ranks that decode, all of which make the same calls.
class DecodedFrames {
 public:
  // `group` shares the rows (model/vae/band.h); nullptr: only this rank, which is the first.  `done` is
  // called for each finished chunk, in order.
  DecodedFrames(Rank& rank, parallel::Group* group, const Job& job,
                std::function<void(const FrameChunk&)> done);

  // Adds this rank's rows [3, f, rows, W] of the frames from `first` on, the next chunk; call under a
  // model::TorchStream.  Blocks until the previous chunk is finished.
  void take(std::int64_t first, const at::Tensor& decoded);
  // Blocks until the last chunk is finished.  Returns [F, H, W, 3] uint8 on the CPU, on the first rank.
  // take() and finish() throw Error if the other ranks do not arrive within the session's deadline.
  at::Tensor finish();

 private:
  void collect();

  struct Pending {
    FrameChunk chunk;
    at::Tensor rgb;  // first rank: whole frames
  };
  Rank& rank_;
  parallel::Group* group_;
  model::vae::Band band_;
  std::function<void(const FrameChunk&)> done_;
  std::unique_ptr<Stream> copies_;
  std::array<std::unique_ptr<Event>, 2> computed_;  // of even and odd chunks
  FiniteFlags flags_;
  std::optional<Pending> pending_;
  std::int64_t taken_ = 0;
  at::Tensor whole_;
};

}  // namespace ferry::worker
