// `ferry make-model`: writes checkpoints with seeded random weights, at any size, in the official or the
// diffusers layout.
//
// Element j of tensor `key` is a function of (seed, key, j) only: the same for every dtype up to rounding,
// for every layout, sharding and number of threads.  Weights are scaled so that activations stay finite
// through all layers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

struct MakeModelOptions {
  std::string out;              // folder; created if missing
  std::string preset = "tiny";  // tiny, 1.3B, 14B
  std::vector<Part> parts = {Part::Dit, Part::Vae, Part::TextEncoder};
  KeyLayout layout = KeyLayout::Official;
  std::optional<std::int64_t> layers;       // of the DiT
  std::optional<std::int64_t> heads;        // of the DiT, tiny only
  std::optional<std::int64_t> head_dim;     // of the DiT, tiny only; even
  std::optional<std::int64_t> text_layers;  // of the text encoder
  std::optional<DType> dtype;  // fp32, bf16, fp16; unset: as published (DiT and VAE fp32, umT5 bf16)
  std::uint64_t seed = 0;
  std::int64_t shard_bytes = 10'000'000'000;  // safetensors files end before this many bytes of data
  bool sparse = false;                        // headers and holes: full sizes, no data, (nearly) no disk
  bool overwrite = false;                     // replace files that exist
  int threads = 0;                            // 0: one per CPU
  std::string
      tokenizer;  // spiece.model to copy; empty: the small model's, when it is found beside the program
};

struct MakeModelProgress {
  std::int64_t bytes_done = 0;
  std::int64_t bytes_total = 0;
  std::string file;  // being written
};

struct MakeModelResult {
  std::vector<std::string> files;  // written, in order
  std::int64_t bytes = 0;          // of tensor data
  std::string note;                // what a complete folder still lacks (a tokenizer), or empty
};

struct ModelConfigs {
  model::DitConfig dit;
  model::VaeConfig vae;
  model::Umt5Config text;
};

// Returns the dimensions that make_model would write.
// Throws UserError for an unknown preset or an option that the preset does not accept.
ModelConfigs preset_configs(const MakeModelOptions& options);

// `progress` (optional) is called a few times per second, and at the end, on the calling thread.
// Throws UserError: unknown preset, an option out of range, an existing file, a full disk.  Each file appears
// under its name only when complete.
MakeModelResult make_model(const MakeModelOptions& options,
                           const std::function<void(const MakeModelProgress&)>& progress);

}  // namespace ferry::checkpoint
