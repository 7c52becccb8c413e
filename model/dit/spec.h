// The modules of a Wan diffusion transformer, in order of acquisition.
#pragma once

#include "model/dit/config.h"
#include "model/weights.h"

namespace ferry::model {

// Indices of the modules in NetworkSpec::head, in each block, and in NetworkSpec::tail.
enum class DitHead : int { PatchEmbedding, Text0, Text2, Time0, Time2, TimeProjection };
enum class DitBlock : int {
  Modulation,
  SelfV,
  SelfQ,
  SelfNormQ,
  SelfK,
  SelfNormK,
  SelfO,
  Norm3,
  CrossK,
  CrossNormK,
  CrossV,
  CrossQ,
  CrossNormQ,
  CrossO,
  Ffn0,
  Ffn2,
};
enum class DitTail : int { Modulation, Head };

inline ModuleId id_of(DitHead module) { return {ModuleId::kHead, static_cast<int>(module)}; }
inline ModuleId id_of(int block, DitBlock module) { return {block, static_cast<int>(module)}; }
inline ModuleId id_of(DitTail module) { return {ModuleId::kTail, static_cast<int>(module)}; }

// Official keys and shapes (wan21.md section 3).
//
// compute BF16 is precision profile A' (section 2.1), equal to the reference's autocast over fp32 weights
// (profile A): linears and the patch convolution are kept in bf16; time_embedding, time_projection, head, all
// modulations and all norm weights in fp32. compute F32: everything is kept in fp32.
// Throws std::invalid_argument for another compute type, and for a config whose heads do not divide dim,
// whose head_dim is odd or below 6, or with an extent < 1.
NetworkSpec dit_spec(const DitConfig& config, DType compute);

}  // namespace ferry::model
