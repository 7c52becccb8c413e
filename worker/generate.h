// One video, from options to tensors, without writing any file.  The program, the tests and the benchmarks
// all come through here.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "parallel/choose_cfg.h"
#include "parallel/mpi/session.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/job/outputs.h"
#include "worker/networks.h"
#include "worker/rank.h"
#include "worker/record/progress.h"
#include "worker/record/record.h"

namespace ferry::worker {

// A job that has passed every check, and the ranks that will do it.
struct Prepared {
  Options options;  // as given, [offload] made to suit each network, parallel.cfg not auto
  Job job;
  parallel::CfgChoice cfg;  // on rank 0: what parallel.cfg is, and why if it was auto
  HeldNames names;          // on rank 0
  Networks networks;
  std::unique_ptr<Rank> rank;
};

// Checks everything that can be checked before weights are read, on rank 0 for everybody, and sets the ranks
// up; then says what of [offload] was changed, and which prompt is cut.  Collective over the world.
// Throws UserError, the same on every rank.
Prepared prepare(const Options& given, parallel::Session& session);

// What computes the DiT's attention, as log and record have it (worker/stages/attention.h); empty without a
// DiT.
std::string attention_name(const Prepared& prepared);

struct Generation {
  at::Tensor latents;                // [C, T, h, w] fp32 on the CPU, before decoding; on every rank
  at::Tensor noise;                  // [C, T, h, w] fp32 on the CPU; on every rank
  at::Tensor frames;                 // [F, H, W, 3] uint8 on the CPU; on rank 0
  std::string video;                 // the bytes of the file; for who encodes the frames to fill in
  std::vector<at::Tensor> contexts;  // [Lt, D] on the CPU, conditional first; on every rank
  std::vector<StageRecord> stages;   // of this rank
};

// What else is done with what is made; each may be empty.
struct Hooks {
  // On every rank once the latents are there; may throw.
  std::function<void(const at::Tensor& latents)> before_decode;
  // On rank 0 for each run of frames [f, H, W, 3] as it is there, in order: slices of Generation's frames.
  std::function<void(const at::Tensor& frames)> frames_made;
};

// Runs the stages and fills `made` as they end; `options` are prepared.options or suit the networks as they
// are.  A job with latents is only decoded: there is no noise and no context.
// Collective over the world.  Throws NotFinite (worker/stages/not_finite.h), the same on every rank, when
// values stop being finite; then `made` has what there was before: in `latents` the last that were finite, if
// any were, and no frames.
void generate(const Options& options, Prepared& prepared, Progress& progress, Generation& made,
              const Hooks& hooks = {});

}  // namespace ferry::worker
