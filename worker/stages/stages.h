// The three stages of a video, each on the ranks of one job.  All are collective over the world, in this
// order; each borrows its weights; those of denoise may begin to load while text runs.  Each throws NotFinite
// (worker/stages/not_finite.h) on every rank when what it made, or was given in a file, is not finite.
//
//   text      prompt -> context rows     the first rank; then every rank has them
//   denoise   noise -> latent            all ranks; every rank has the whole latent
//   decode    latent -> frames           all ranks, each its rows, or the first rank (parallel.split_vae)
//
// A further stage has a record with its name, shows its progress, borrows weights by its role
// (worker/weights/stage_weights.h) and is called in worker/generate.cpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/networks.h"
#include "worker/rank.h"
#include "worker/record/progress.h"
#include "worker/record/record.h"
#include "worker/weights/loaded_model.h"
#include "worker/weights/stage_load.h"

namespace ferry::worker {

struct StageInput {
  const Options* options = nullptr;
  const Job* job = nullptr;
  const Networks* networks = nullptr;
  Rank* rank = nullptr;
  LoadedModel* model = nullptr;
  Progress* progress = nullptr;
  std::function<void(const at::Tensor& frames)> frames_made{};  // as in Hooks (worker/generate.h)

  const Network& network(Role role) const { return (*networks)[role].value(); }
};

// The weights of a role that the job needs, as its stage loads them.
StageSource source_of(const StageInput& input, Role role);

// The contexts of the guidance branches, conditional first: [Lt, text_dim] on the device, in the text
// encoder's compute type, or fp32 as read from the job's file.  One without guidance, else two.
// `read`, which may be empty, is called on every rank when the encoder's weights are in the host's memory.
std::vector<at::Tensor> text_stage(const StageInput& input, StageRecord& record,
                                   const std::function<void()>& read = {});

// Begins to load the weights of denoise, where they are not there and the nodes have room for them beside
// those of text, which are.
void begin_denoise(const StageInput& input);

// The noise [C, T, h, w] fp32 on the device, drawn or read by the first rank and shared, so that no rank's
// generator can differ.
at::Tensor noise_stage(const StageInput& input);

// The latent [C, T, h, w] fp32 on the device.  The branches run as options.parallel.cfg says, and combine as
// v = vu + guidance * (vc - vu) in fp32.
at::Tensor denoise_stage(const StageInput& input, const std::vector<at::Tensor>& contexts,
                         const at::Tensor& noise, StageRecord& record);

// [F, H, W, 3] uint8 in host memory on the first rank; undefined on the others.  Every rank has the latent.
at::Tensor decode_stage(const StageInput& input, const at::Tensor& latent, StageRecord& record);

}  // namespace ferry::worker
