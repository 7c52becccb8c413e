// The tensors of a LoRA file, sorted by what they change (checkpoint/lora/lora.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/lora/lora_names.h"
#include "model/weights.h"

namespace ferry::checkpoint {

// Tensors that do not belong to the network: by their name, or by the shape of what they would change.
enum class Unmatched : std::uint8_t { Refuse, Skip };

struct PairParts {
  const model::ModuleSpec* module = nullptr;
  const TensorEntry* down = nullptr;
  const TensorEntry* up = nullptr;
  const TensorEntry* alpha = nullptr;
  std::vector<std::string> names;  // in the file
  bool peft = false;
};

struct DifferenceParts {
  const model::TensorSpec* changed = nullptr;
  const TensorEntry* entry = nullptr;
};

struct SortedParts {
  std::map<std::string, PairParts> pairs;              // by module, under the official name
  std::map<std::string, DifferenceParts> differences;  // by official key
  std::vector<std::string> left_out;                   // names in the file
};

// Each pair is whole and, like each difference, has the shape of what it changes, up to axes of extent 1 and
// to the columns of a convolution, which may be flattened.  Points into `entries` and into the network of
// `names`.
// Throws UserError naming file, tensor and reason: half a pair, two tensors for one part, two adapters, a
// type that is no float, and with Unmatched::Refuse whatever does not belong to the network.
SortedParts sort_parts(const std::vector<TensorEntry>& entries, const LoraNames& names, Unmatched unmatched);

// The same numbers under another shape.
TensorEntry reshaped(const TensorEntry& entry, std::vector<std::int64_t> shape);

// [out, in], of a convolution [out, in * ...].
std::vector<std::int64_t> matrix_shape(const model::TensorSpec& weight);

}  // namespace ferry::checkpoint
