// LoRA files: additions to the weights of a network, of two kinds in one safetensors file.
//
// Low-rank ones to a linear or a convolution X, W + strength * (alpha / rank) * B A (arXiv:2106.09685):
//
//   X.lora_A.weight     X.lora_B.weight     PEFT and diffusers; also X.lora_A.NAME.weight
//   X.lora_down.weight  X.lora_up.weight    kohya and programs that use the official names
//   X.alpha                                 one number of any type
//
// A (down) is [rank, in], B (up) [out, rank].  Without an alpha of its own, the file's header or an
// adapter_config.json gives it (checkpoint/lora/lora_scale.h), else it is the rank.
//
// Whole differences, W + strength * D, of a module X of any kind:
//
//   X.diff    of its weight, or of X itself where that is a parameter (blocks.0.modulation)
//   X.diff_b  of its bias
//   X.diff_m  of the modulation X, or X.modulation
//
// X is the official or diffusers name behind any of the prefixes used in checkpoints
// (checkpoint/names/keys.h), base_model.model. (PEFT) or pipe.dit. (DiffSynth); or the name with '_' for each
// '.' behind lora_unet_ (kohya, musubi-tuner; lora_unet__ of VideoX-Fun), lora_transformer_ (OneTrainer) or
// lycoris_.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/lora/lora_parts.h"
#include "model/weights.h"

namespace ferry::checkpoint {

struct LoraPair {
  TensorEntry down;    // A [rank, in]
  TensorEntry up;      // B [out, rank]
  double scale = 1.0;  // alpha / rank, or its replacement (lora_scale.h)
  bool linear = true;  // false: of a convolution, whose columns A has flattened
};

// The pairs whose scale has the same source.
struct LoraScaleGroup {
  std::string from;
  int linears = 0;
  double least = 0;
  double most = 0;
};

// A LoRA file of which every tensor maps to the network, but for those left out.  Header and alphas have been
// read.
class LoraFile {
 public:
  // `path` is the file or its folder (checkpoint/lora/lora_folder.h).
  // Throws UserError naming the file, the tensor and the reason: a damaged file, what sort_parts() refuses,
  // another kind of adapter (DoRA, LoHa, LoKr), nothing that belongs to the network; and as lora_scales does.
  static LoraFile open(const std::string& path, const model::NetworkSpec& network, Part part,
                       Unmatched unmatched = Unmatched::Refuse);

  const std::string& path() const { return path_; }  // of the file
  const std::vector<LoraScaleGroup>& scales() const { return scales_; }
  const std::vector<std::string>& notes() const { return notes_; }  // header settings that had no effect
  // By module, under the official name.
  const std::map<std::string, LoraPair>& pairs() const { return pairs_; }
  // By official key of the tensor that they are added to, in its shape.
  const std::map<std::string, TensorEntry>& differences() const { return differences_; }
  // Names of tensors that do not belong to the network.
  const std::vector<std::string>& left_out() const { return left_out_; }
  // The pair or difference that applies to the tensor of this official key, or nullptr.
  const LoraPair* pair_of(const std::string& key) const;
  const TensorEntry* difference_of(const std::string& key) const;

 private:
  void take_pairs(const SortedParts& parts, const std::map<std::string, std::string>& metadata,
                  const LoraNames& names);

  std::string path_;
  std::map<std::string, LoraPair> pairs_;
  std::map<std::string, TensorEntry> differences_;
  std::vector<LoraScaleGroup> scales_;
  std::vector<std::string> notes_;
  std::vector<std::string> left_out_;
  std::shared_ptr<const void> mapping_;
};

}  // namespace ferry::checkpoint
