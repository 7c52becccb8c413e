// What a checkpoint holds and its network would leave out: another network in this one's clothes.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

struct Unexpected {
  std::vector<std::string> tensors;   // names in the files
  std::vector<std::string> members;   // of config.json, "name = value"
  std::vector<std::string> counters;  // whole numbers of no dimension, such as a trainer's step: harmless
  // The first tensor that stands beside a weight of 8 bits without a scale, as a scale under a name that is
  // not known would: "X.ws beside X.weight, which is fp8", else empty.  It must not be left out.
  std::string beside_8_bits{};

  bool empty() const { return tensors.empty() && members.empty(); }
};

// `known` are the official names that the network has.  Not listed, because decoding and text encoding never
// need them: the VAE's encoder half, umT5's decoder and head, the second name of its one embedding.  A whole
// number in the module of a weight of 8 bits is no counter.
Unexpected find_unexpected(const Checkpoint& checkpoint, const std::unordered_set<std::string>& known);

// The official names in a spec.
std::unordered_set<std::string> keys_of(const model::NetworkSpec& spec);

// "12 tensors (a, b, c and 9 more) and 1 setting of config.json (vace_in_dim = 96)".
std::string to_text(const Unexpected& unexpected);

// Throws UserError when something stands beside 8 bits, which no option leaves out.
void refuse_beside_8_bits(const Checkpoint& checkpoint, const Unexpected& unexpected);

// Throws UserError when there is something unexpected: the file, what it is, and the option that leaves it
// out.
void refuse_unexpected(const Checkpoint& checkpoint, const Unexpected& unexpected);

}  // namespace ferry::checkpoint
