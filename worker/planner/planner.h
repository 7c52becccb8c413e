// What a request takes on a machine in each way that it could be run, and which one is recommended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/planner/predict.h"
#include "worker/planner/shapes.h"

namespace ferry::worker {

struct PlanRequest {
  DType compute = DType::BF16;  // of DiT and text encoder
  DType vae_compute = DType::F32;
  std::optional<std::int64_t> width{};  // unset: the model's defaults (model/defaults.h)
  std::optional<std::int64_t> height{};
  std::optional<std::int64_t> frames{};
  std::optional<int> steps{};
  std::optional<double> guidance{};
  int gpus = 1;  // in all, a multiple of `nodes`
  int nodes = 1;
  std::optional<double> vram_gib{};                  // of each GPU; unset: the machine's
  std::optional<double> host_gib{};                  // of each node; unset: the machine's
  std::size_t lora_bytes = 0;                        // on each device, beside the DiT's weights
  std::optional<checkpoint::Distilled> distilled{};  // what the LoRAs' headers say
};

// The request with every default filled in; where a file chooses step_distill (worker/distillation.h), with
// its steps and without guidance.
struct PlannedJob {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t frames = 0;
  int steps = 0;
  bool guided = true;
  std::string note{};  // that a file chose them, or what keeps it from that; or empty
};

struct Plan {
  Prediction step;
  offload::Transport transport = offload::Transport::Auto;
  int data = 1;                 // videos at a time
  int nodes = 1;                // in all
  std::size_t gpu_bytes = 0;    // weights on each device in the stage that has most
  std::size_t total_bytes = 0;  // weights and activations there, in the stage that takes most
  std::size_t node_bytes = 0;   // host copies on each node that must be there at once
  double start_s = 0;           // until the first step
  double decode_s = 0;
  double video_s = 0;          // start, steps, decode
  double videos_per_hour = 0;  // of one program that keeps its weights, all groups together
  bool fits = true;
};

struct Plans {
  PlannedJob job;
  double vram_gib = 0;
  double host_gib = 0;
  std::vector<Plan> all;  // fastest video first, those that fit before the others
  std::size_t recommended = 0;
  std::size_t most_videos = 0;  // of those that fit, the most videos an hour
};

// What of a request can be refused before rates are known.  Throws UserError: gpus that are no multiple of
// nodes or cannot be divided; a size, frames or sampling that `ferry generate` would refuse.
void check_request(const ModelShapes& model, const PlanRequest& request);

// Throws UserError as check_request(); and if nothing fits: what is short, how much there is, how much it
// takes and what would fit.
Plans make_plans(const ModelShapes& model, const PlanRequest& request, const MachineRates& machine);

}  // namespace ferry::worker
