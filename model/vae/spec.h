// The modules of the VAE's decoder, in the order in which a forward acquires them.
#pragma once

#include "model/vae/config.h"
#include "model/weights.h"

namespace ferry::model {

// Indices of the modules in NetworkSpec::head, in the blocks, each a unit (model/vae/units.h), and in
// NetworkSpec::tail.
enum class VaeHead : int { ConvLatent, ConvIn };
enum class VaeResidual : int { Norm1, Conv1, Norm2, Conv2, Shortcut };
enum class VaeAttention : int { Norm, ToQkv, Proj };
enum class VaeUp : int { Resample, TimeConv };
enum class VaeTail : int { Norm, ConvOut };

inline ModuleId id_of(VaeHead module) { return {ModuleId::kHead, static_cast<int>(module)}; }
inline ModuleId id_of(int block, VaeResidual module) { return {block, static_cast<int>(module)}; }
inline ModuleId id_of(int block, VaeAttention module) { return {block, static_cast<int>(module)}; }
inline ModuleId id_of(int block, VaeUp module) { return {block, static_cast<int>(module)}; }
inline ModuleId id_of(VaeTail module) { return {ModuleId::kTail, static_cast<int>(module)}; }

// The decoder's network, under official keys.  Head: conv2, decoder.conv1.  Blocks: the units of
// decoder.middle and decoder.upsamples in order.  Tail: decoder.head.0 (norm), decoder.head.2.
// `compute` is F32, or BF16: convolutions with bf16 weights, where the norm scales and the convolutions at
// both ends (conv2, decoder.head.2) stay fp32.
// Throws std::invalid_argument for a configuration that makes no network, or another dtype.
NetworkSpec vae_decoder_spec(const VaeConfig& config, DType compute);

}  // namespace ferry::model
