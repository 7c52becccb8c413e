// Everything one run was asked to do, as plain values.  launcher/ fills it from the command line and .cfg
// files; worker/ resolves what is unset against the checkpoint's defaults (worker/job/resolve.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "offload/options.h"
#include "parallel/options.h"
#include "worker/role.h"

namespace ferry::worker {

struct ModelOptions {
  std::string path;                // checkpoint directory, official or diffusers layout
  std::string device = "auto";     // auto, cpu, cuda
  std::string dtype = "bf16";      // bf16 (profile A', model/dit/spec.h), fp32
  std::string vae_dtype = "fp32";  // fp32, bf16 (opt-in)
  // What to do with tensors and settings of a checkpoint that its network would leave out: refuse, skip.
  std::string unexpected = "refuse";
  // The dict of a .pth file that holds the part's tensors, where several do; empty: the only one.
  ByRole<std::string> key{};
};

// What to make.  Unset fields take the model's defaults.  What changes the video is resolved into Job (job.h)
// by rank 0 and sent to the others; options outside this struct each rank reads for itself.
struct JobOptions {
  std::string prompt;
  std::optional<std::string> negative_prompt;  // unset: the model's default; given, even empty: used as is
  std::optional<std::int64_t> width, height;   // pixels, multiples of 16
  std::optional<std::int64_t> frames;          // 4n + 1
  std::optional<int> steps;
  std::optional<std::string> sampler;  // unipc, dpm++, euler, step_distill
  std::optional<double> guidance;      // 1: no unconditional branch
  std::optional<double> shift;
  std::int64_t seed = -1;             // -1: drawn and recorded
  std::string noise;                  // safetensors file, tensor "noise" [C, T, h, w] fp32
  std::string noise_device = "auto";  // auto (the run's device), cpu, cuda: whose generator draws it
  std::string context;                // safetensors file, "positive" and "negative" [L, D]
  std::string latents;                // safetensors file, "latents" [C, T, h, w]: decoded by the VAE alone
  std::optional<double> fps;
  std::string out;    // video path; empty: made from prompt and seed
  std::string save;   // safetensors: "latents", "frames" uint8 [F, H, W, 3], and what
                      // they were made from: "noise", "positive", "negative"
  int out_scale = 1;  // each pixel becomes n x n in the video file (nearest neighbour)
  bool overwrite = false;
};

// A low-rank addition to the DiT's linears (checkpoint/lora/lora.h).
struct LoraOptions {
  std::string path;       // safetensors file or a folder with one; empty: none
  double strength = 1.0;  // what is added is multiplied by this; 0: nothing is added

  bool used() const { return !path.empty() && strength != 0; }
};

// Which kernel computes the DiT's attention (worker/stages/attention.h).
struct AttentionOptions {
  std::string impl = "auto";  // auto, cudnn, flash, math, fa3
  std::string fa3;            // the library of fa3-fwd; empty: the one beside LibTorch
};

// Which host copies of weights stay between the videos of one program (worker/weights/loaded_model.h): none;
// all; those for which the host has room.  None stays that no later video needs.
enum class Keep : std::uint8_t { One, All, Auto };

struct RunOptions {
  bool dry_run = false;  // check everything, make nothing
  Keep keep = Keep::Auto;
  std::string log_level = "info";
  double deadline_s = 600;  // a collective that waits longer than this brings the job down
};

struct Options {
  ModelOptions model;
  JobOptions job;
  parallel::Options parallel;
  ByRole<offload::Options> offload;  // of each network
  LoraOptions lora;
  AttentionOptions attention;
  std::string trace_file;                 // Perfetto trace; empty: none
  std::vector<std::string> config_files;  // that options were read from; no result may take their place
  RunOptions run;
  // Every option as the user could have typed it, "group.key" -> value, for the record.
  std::vector<std::pair<std::string, std::string>> echo;
};

}  // namespace ferry::worker
