// Scaled dot-product attention over whole sequences, softmax(q k^T / sqrt(head_dim)) v, with a choice of
// kernels.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/device.h"

namespace ferry::model::kernels {

enum class AttentionImpl : std::uint8_t {
  Auto,   // LibTorch chooses, by device, type and shape
  CuDnn,  // cuDNN's, in LibTorch: GPUs, bf16
  Flash,  // LibTorch's FlashAttention-2: bf16 on GPUs, any type on the CPU
  Math,   // matrix products and a softmax: any device and type, memory for tokens^2
  Fa3     // FlashAttention-3 (model/kernels/fa3.h): GPUs of compute capability 9, bf16
};
std::string_view name_of(AttentionImpl impl);  // "auto", "cudnn", "flash", "math", "fa3"

// LibTorch's choice: q [n, heads, queries, head_dim], k and v [n, heads, keys, head_dim], one type; returns
// q's shape.  Queued on LibTorch's current stream.  A row whose logits contain NaN or an infinity yields NaN
// on the CPU too, where LibTorch's own kernel makes some of them finite.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

class Attention {
 public:
  // out = attention(q, k, v); all [1, tokens, heads, head_dim], contiguous, one type.
  using Kernel = std::function<void(const at::Tensor& out, const at::Tensor& q, const at::Tensor& k,
                                    const at::Tensor& v)>;

  // A kernel of LibTorch.  Throws std::invalid_argument for Fa3.
  explicit Attention(AttentionImpl impl = AttentionImpl::Auto);
  // A kernel of another library.
  Attention(AttentionImpl impl, Kernel kernel) : impl_(impl), kernel_(std::move(kernel)) {}

  // q [queries, width], k and v [keys, width], contiguous, one type; width is a multiple of head_dim. Returns
  // [queries, width], allocated by LibTorch.  Queued on LibTorch's current stream.
  // Throws c10::Error if the kernel does not support the device, the type or head_dim.
  at::Tensor operator()(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        std::int64_t head_dim) const;

  // As above into `out`, of q's shape, contiguous.  LibTorch's kernels allocate a result, which is copied.
  void into(const at::Tensor& out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
            std::int64_t head_dim) const;

  // Name of the kernel used for such tensors; for Auto, that of LibTorch's choice ("cudnn", "flash",
  // "efficient", "math").
  std::string used_for(const at::Tensor& q, std::int64_t head_dim) const;

 private:
  AttentionImpl impl_;
  Kernel kernel_;  // empty for LibTorch's
};

// GPU kernels give each multiprocessor tiles of 128 queries of one head, all about equally long.  Returns the
// number of tiles that run concurrently, so take as long as one; 0 on the CPU.
constexpr std::int64_t kTileQueries = 128;
std::int64_t tiles_at_once(const Device& device);

}  // namespace ferry::model::kernels
