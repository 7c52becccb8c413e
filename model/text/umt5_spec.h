// The modules of a umT5 encoder, in the order in which a forward acquires them.
#pragma once

#include "model/text/config.h"
#include "model/weights.h"

namespace ferry::model {

// Indices of the modules in NetworkSpec::head, in each block, and in NetworkSpec::tail.
enum class Umt5Head : int { TokenEmbedding };
enum class Umt5Block : int { Norm1, Q, K, V, PositionBias, O, Norm2, FfnGate, FfnFc1, FfnFc2 };
enum class Umt5Tail : int { Norm };

inline ModuleId id_of(Umt5Head module) { return {ModuleId::kHead, static_cast<int>(module)}; }
inline ModuleId id_of(int block, Umt5Block module) { return {block, static_cast<int>(module)}; }
inline ModuleId id_of(Umt5Tail module) { return {ModuleId::kTail, static_cast<int>(module)}; }

// The network under official keys, every tensor in `compute` (BF16 or F32).  The token embedding is kept on
// the host only.
// Throws std::invalid_argument for another dtype or for dimensions that make no network; UserError for a
// number of position buckets other than 32.
NetworkSpec umt5_spec(const Umt5Config& config, DType compute);

}  // namespace ferry::model
