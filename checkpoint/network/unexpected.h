// Contents of a checkpoint that the network does not use: a sign that it is another network.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

struct Unexpected {
  std::vector<std::string> tensors;   // names in the files
  std::vector<std::string> members;   // from config.json, "name = value"
  std::vector<std::string> counters;  // integer scalars such as a trainer's step: harmless
  // The first tensor found beside an 8-bit weight without a scale, since it may be the scale under an unknown
  // name: "X.ws beside X.weight, which is fp8"; else empty.  It must not be ignored.
  std::string beside_8_bits{};

  bool empty() const { return tensors.empty() && members.empty(); }
};

// `known` are the network's official names.  Not listed, because decoding and text encoding never use them:
// the VAE's encoder half, umT5's decoder and head, the second name of its single embedding.  An integer in
// the module of an 8-bit weight does not count as a counter.
Unexpected find_unexpected(const Checkpoint& checkpoint, const std::unordered_set<std::string>& known);

// The official names in a spec.
std::unordered_set<std::string> keys_of(const model::NetworkSpec& spec);

// "12 tensors (a, b, c and 9 more) and 1 setting of config.json (vace_in_dim = 96)".
std::string to_text(const Unexpected& unexpected);

// Throws UserError if beside_8_bits is set; no option skips this.
void refuse_beside_8_bits(const Checkpoint& checkpoint, const Unexpected& unexpected);

// Throws UserError if there is anything unexpected, naming the file, the contents, and the option to skip
// them.
void refuse_unexpected(const Checkpoint& checkpoint, const Unexpected& unexpected);

}  // namespace ferry::checkpoint
