// All options of a run, as plain values. launcher/ fills it from the command line and .cfg files; worker/
// resolves unset fields from the checkpoint's defaults (worker/job/resolve.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/words.h"
#include "offload/options.h"
#include "parallel/options.h"
#include "worker/role.h"

namespace ferry::worker {

struct ModelOptions {
  std::string path;                // checkpoint directory, official or diffusers layout
  std::string device = "auto";     // auto, cpu, cuda
  std::string dtype = "bf16";      // bf16 (profile A', model/dit/spec.h), fp32
  std::string vae_dtype = "fp32";  // fp32, bf16 (opt-in)
  // Handling of tensors and settings that the network does not use: refuse, skip.
  std::string unexpected = "refuse";
  // The dict of a .pth file that holds the network's tensors, if there are several; empty: the only one.
  ByRole<std::string> key{};
};

// One of the LoRAs added to the DiT (checkpoint/lora/lora.h).
struct LoraChoice {
  std::string path;       // safetensors file or a folder with one
  double strength = 1.0;  // factor of what it adds; 0: nothing

  friend bool operator==(const LoraChoice&, const LoraChoice&) = default;
};

// What to make.  Unset fields take the model's defaults.  What changes the video is resolved into Job (job.h)
// by rank 0 and sent to the others; options outside this struct each rank reads for itself.
struct JobOptions {
  std::string prompt;
  std::optional<std::string>
      negative_prompt;  // unset: the model's default; used as is if given, even if empty
  std::optional<std::int64_t> width, height;  // pixels, multiples of 16
  std::optional<std::int64_t> frames;         // 4n + 1
  std::optional<int> steps;
  std::optional<std::string> sampler;  // unipc, dpm++, euler, step_distill
  std::optional<double> guidance;      // 1: no unconditional branch
  std::optional<double> shift;
  std::int64_t seed = -1;             // -1: drawn and recorded
  std::string noise;                  // safetensors file, tensor "noise" [C, T, h, w] fp32
  std::string noise_device = "auto";  // generator of the noise: auto (the run's device), cpu, cuda
  std::string context;                // safetensors file, "positive" and "negative" [L, D]
  std::string latents;                // safetensors file, "latents" [C, T, h, w]: only decoded
  std::vector<LoraChoice> loras;      // added in this order
  std::optional<double> fps;
  std::string out;    // video path; empty: see name
  std::string name;   // without `out`: the video's name without extension; empty: from prompt and seed
  std::string save;   // safetensors: "latents", "frames" uint8 [F, H, W, 3], and what
                      // inputs: "noise", "positive", "negative"
  int out_scale = 1;  // each pixel becomes n x n in the video file (nearest neighbour)
  bool overwrite = false;
};

// The LoRAs as options name them; JobOptions::loras has them together.
struct LoraOptions {
  std::vector<std::string> paths;
  std::vector<double> strengths;  // none: 1; one: of all; else one for each path
  // Handling of tensors that do not belong to the DiT: refuse, skip.
  std::string unmatched = "refuse";
};

// Kernel of the DiT's attention (worker/stages/attention.h).
struct AttentionOptions {
  std::string impl = "auto";  // auto, cudnn, flash, math, fa3
  std::string fa3;            // library of fa3-fwd; empty: the one beside LibTorch
};

// Host copies of weights kept between the videos of one program (worker/weights/loaded_model.h): none; all;
// those for which the host has room.  Copies that no later video needs are never kept.
enum class Keep : std::uint8_t { One, All, Auto };
constexpr auto words_of(Keep) { return std::to_array<std::string_view>({"one", "all", "auto"}); }

struct RunOptions {
  std::string jobs;      // manifest of videos to make (worker/batch/batch.h), "-": standard input; empty: one
  bool dry_run = false;  // check everything, then stop
  Keep keep = Keep::Auto;
  std::string log_level = "info";
  std::string state;             // file of the unfinished run; empty: beside `out` (worker/job/outputs.h)
  int save_every = 0;            // steps between two saves of the state; 0: only when asked to stop
  bool resume = true;            // go on from a state that is there; false: ignore and replace it
  std::string machine = "auto";  // rates for offload type auto (worker/planner/run_rates.h)
  double deadline_s = 600;  // limit of a wait for another rank without a heartbeat, then the job is aborted
};

// Options as the user could have typed them, "group.key" -> value.
using Echo = std::vector<std::pair<std::string, std::string>>;

struct Options {
  ModelOptions model;
  JobOptions job;
  parallel::Options parallel;
  ByRole<offload::Options> offload;  // per network
  LoraOptions lora;
  AttentionOptions attention;
  std::string trace_file;                 // Perfetto trace; empty: none
  std::vector<std::string> config_files;  // read for options; results must not overwrite them
  RunOptions run;
  Echo echo;  // all that are given, for the record
};

}  // namespace ferry::worker
