// What the ranks decode, put together in the first one's host memory.
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

// A chunk of frames, those of one latent frame.
struct FrameChunk {
  std::int64_t index = 0;
  std::int64_t first = 0;  // frame
  std::int64_t frames = 0;
  bool finite = true;  // all values, on every rank
  at::Tensor rgb;      // on the first rank: [frames, H, W, 3] uint8 on the CPU, of finish()'s
};

// On the ranks that decode, all of which make the same calls.
class DecodedFrames {
 public:
  // `group` shares the rows (model/vae/band.h); nullptr: this rank alone, which is the first.  `done` is
  // called for each chunk, in order, when it is there.
  DecodedFrames(Rank& rank, parallel::Group* group, const Job& job,
                std::function<void(const FrameChunk&)> done);

  // Takes this rank's rows [3, f, rows, W] of the frames from `first` on, the next chunk; called under a
  // model::TorchStream.  Blocks until the chunk before is there.
  void take(std::int64_t first, const at::Tensor& decoded);
  // Blocks until the last chunk is there.  Returns [F, H, W, 3] uint8 on the CPU, on the first rank.
  // take() and finish() throw Error when the other ranks do not come within the session's deadline.
  at::Tensor finish();

 private:
  void collect();

  struct Pending {
    FrameChunk chunk;
    at::Tensor rgb;  // whole frames on the first rank
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
