// The three stages of a video, on the ranks of one job.  All are collective over the world, in this order;
// each borrows its weights; those of denoise may start loading while text runs.  Each throws NotFinite
// (worker/stages/not_finite.h) on every rank if its results, or its inputs from a file, are not finite.
//
//   text      prompt -> context rows     first rank; then sent to every rank
//   denoise   noise -> latent            all ranks; every rank has the whole latent
//   decode    latent -> frames           all ranks, each its rows, or the first rank (parallel.split_vae)
//
// A stage begins by borrowing its weights by its role (BorrowedStage in worker/weights/stage_weights.h, which
// begins parallel::Stage::Load); once it has them it begins its own word with Rank::begin, so that the
// watchdogs of all ranks know where it is and have a tick.  It has a record with its name, shows its progress
// and is called in worker/generate.cpp.
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
#include "worker/stages/context_store.h"
#include "worker/state/sampling_state.h"
#include "worker/state/save_points.h"
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
  const TextPlan* text = nullptr;                               // optional: contexts shared with other videos
  SavePoints* saves = nullptr;  // optional; throws Stopped in denoise and decode

  const Network& network(Role role) const { return (*networks)[role].value(); }
};

// True if the job's prompts must be encoded: it has no contexts from a file, nor does text->store have them.
bool encodes_text(const StageInput& input);

// Source of the weights of a role that the job needs.
StageSource source_of(const StageInput& input, Role role);

// Computes the contexts of the guidance branches, conditional first: [Lt, text_dim] on the device, in the
// text encoder's compute type, or fp32 as read from the job's file.  One without guidance, else two.  `read`
// (optional) is called on every rank once the encoder's weights are in host memory.
std::vector<at::Tensor> text_stage(const StageInput& input, StageRecord& record,
                                   const std::function<void()>& read = {});

// Encodes the prompts of input.text->ahead into its store, without a video: for videos that other ranks make.
// `read` as in text_stage.  A prompt whose context is not finite has its cause there.
void text_visit(const StageInput& input, StageRecord& record, const std::function<void()>& read = {});

// Starts loading the weights of denoise if they are not loaded and the nodes have room for them in addition
// to those of text.
void begin_denoise(const StageInput& input);

// The noise [C, T, h, w] fp32 on the device, drawn or read by the first rank and shared, so that the ranks'
// generators cannot differ.
at::Tensor draw_noise(const StageInput& input);

// Takes the steps that `begin`, on the device, has not done: at least one.  Computes the latent [C, T, h, w]
// fp32 on the device.  The branches run as set by options.parallel.cfg, and combine as
// v = vu + guidance * (vc - vu) in fp32.
at::Tensor denoise_stage(const StageInput& input, const SamplingState& begin, StageRecord& record);

// Decodes to [F, H, W, 3] uint8 in host memory on the first rank; undefined on the others.  Every rank has
// the latent.
at::Tensor decode_stage(const StageInput& input, const at::Tensor& latent, StageRecord& record);

}  // namespace ferry::worker
