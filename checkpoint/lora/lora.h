// LoRA files: low-rank additions to the linears of a network, W + strength * (alpha / rank) * B A
// (arXiv:2106.09685).  One safetensors file with, for each linear X that it changes,
//
//   X.lora_A.weight     X.lora_B.weight     PEFT and diffusers; also X.lora_A.default.weight
//   X.lora_down.weight  X.lora_up.weight    kohya and programs that use the official names
//   X.alpha                                 one number of any type
//
// A (down) is [rank, in], B (up) [out, rank].  For a linear without an alpha of its own, the file's header or
// an adapter_config.json gives it (checkpoint/lora/lora_scale.h), else it is the rank.  X is the linear's
// official or diffusers name behind any of the prefixes used in checkpoints (checkpoint/names/keys.h), or
// kohya's lora_unet_ and the name with '_' for each '.'.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/weights.h"

namespace ferry::checkpoint {

struct LoraPair {
  TensorEntry down;    // A [rank, in]
  TensorEntry up;      // B [out, rank]
  double scale = 1.0;  // alpha / rank, or its replacement (lora_scale.h)
};

// The linears whose scale has the same source.
struct LoraScaleGroup {
  std::string from;
  int linears = 0;
  double least = 0;
  double most = 0;
};

// A LoRA file in which every tensor maps to the network.  Header and alphas have been read.
class LoraFile {
 public:
  // `path` is the file or its folder (checkpoint/lora/lora_folder.h).
  // Throws UserError naming the file, the tensor and the reason: a damaged file, a name that is not a linear
  // of the network, half a pair, a shape that does not fit the linear's weight, no pair at all; and as
  // lora_scales does.
  static LoraFile open(const std::string& path, const model::NetworkSpec& network, Part part);

  const std::string& path() const { return path_; }  // of the file
  const std::vector<LoraScaleGroup>& scales() const { return scales_; }
  const std::vector<std::string>& notes() const { return notes_; }  // header settings that had no effect
  // By module, under the official name.
  const std::map<std::string, LoraPair>& pairs() const { return pairs_; }
  // The pair that applies to the tensor of this official key, or nullptr.
  const LoraPair* of_weight(const std::string& key) const;

 private:
  std::string path_;
  std::map<std::string, LoraPair> pairs_;
  std::vector<LoraScaleGroup> scales_;
  std::vector<std::string> notes_;
  std::shared_ptr<const void> mapping_;
};

struct LoraAddition {
  const LoraPair* pair = nullptr;
  double strength = 1.0;
};

struct RowRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// As read_tensor_rows (checkpoint/checkpoint.h), with the addition computed in fp32 and rounded once to
// spec.dtype.  Values do not depend on how the rows are divided.  `spec` is a contiguous [out, in].
// Throws as read_tensor_rows does.
void read_merged_rows(const TensorEntry& entry, const model::TensorSpec& spec, const LoraAddition& addition,
                      std::byte* dst, RowRange rows);

}  // namespace ferry::checkpoint
