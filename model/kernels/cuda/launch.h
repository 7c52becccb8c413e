// CUDA implementation of each kernel; `stream` is a cudaStream_t.  The functions of the headers above call
// these for GPU streams.  Builds without CUDA have unreachable versions that throw std::logic_error.
#pragma once

#include "model/kernels/element.h"
#include "model/kernels/gate_residual.h"
#include "model/kernels/heads.h"
#include "model/kernels/layer_norm.h"
#include "model/kernels/patch.h"
#include "model/kernels/rms_norm_rope.h"

namespace ferry::model::kernels::cuda {

// Multiprocessors of the calling thread's device.  Throws CudaError.
int multiprocessors();

void layer_norm(const LayerNorm& args, Scaling scaling, void* stream);
void gate_residual(const GateResidual& args, void* stream);
void rms_norm_rope(const RmsNormRope& args, void* stream);
void pack_heads(const Heads& args, void* stream);
void unpack_heads(const Heads& args, void* stream);
void patchify(const Patchify& args, void* stream);
void unpatchify(const Unpatchify& args, void* stream);
void time_sinusoid(double t, float* out, std::int64_t dim, void* stream);
void gelu_tanh(void* data, DType dtype, std::int64_t count, void* stream);
void flag_not_finite(const void* data, DType dtype, std::int64_t count, std::uint32_t* flag, void* stream);

}  // namespace ferry::model::kernels::cuda
