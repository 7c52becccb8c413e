// Makes one video, from a job to tensors, without writing files.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "worker/engine.h"
#include "worker/record/progress.h"
#include "worker/record/record.h"
#include "worker/state/stop_request.h"

namespace ferry::worker {

struct Generation {
  at::Tensor latents;                // [C, T, h, w] fp32 on the CPU, before decoding; on every rank
  at::Tensor noise;                  // [C, T, h, w] fp32 on the CPU; on every rank
  at::Tensor frames;                 // [F, H, W, 3] uint8 on the CPU; on rank 0
  std::string video;                 // the encoded file; set by the caller that encodes the frames
  std::vector<at::Tensor> contexts;  // [Lt, D] on the CPU, conditional first; on every rank
  std::vector<StageRecord> stages;   // of this rank
};

// Callbacks on results; each is optional.
struct Hooks {
  // On every rank once decode's input is there; may throw.  job.latents of a later run stands for it, without
  // any stage before.
  std::function<void(const at::Tensor& latents)> before_decode;
  // On rank 0 for each run of frames [f, H, W, 3] once computed, in order: slices of Generation's frames.
  std::function<void(const at::Tensor& frames)> frames_made;
  // On every rank, or on none: the request to stop early that this rank may get.
  StopRequest* stop = nullptr;
};

// Makes a video: runs the stages and fills `made` as they end.  A job with latents is only decoded, without
// noise and contexts.  A job that is resumed (prepared.resumes) goes on from its state: only what is left is
// loaded and computed.  May be called repeatedly with the same engine and other jobs; prepared.later and
// run.keep decide which weights stay for them.
// Collective over the world.  Throws NotFinite (worker/stages/not_finite.h), the same on every rank, when
// values stop being finite; then `made` has the results so far: in `latents` the last finite ones, if any,
// and no frames.  Throws Stopped (worker/state/save_points.h), the same on every rank, if one was asked to
// stop; then the state is on disk.
void generate(Engine& engine, const Prepared& prepared, Progress& progress, Generation& made,
              const Hooks& hooks = {});

}  // namespace ferry::worker
