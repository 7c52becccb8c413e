// The decoder's convolutions over frames.
//
// Activations are frames, [t, h, w, channels] contiguous: channels-last to LibTorch, whose convolutions are
// fastest this way and need no reordering.  Measured with two threads on an AMD EPYC with AVX-512, GFLOP/s
// fp32 / bf16 at widths 96, 192, 384 of Wan2.1's decoder (240 x 416):
//
//   channels-last conv3d            412, 412, 379  /  828, 883, 870
//   contiguous conv3d               277, 377, 406  /  607, 700, 757
//   conv2d over time-stacked frames 402, 427, 405  /  833, 864, 935   (before the copies that stack)
//
// Hence channels-last weights and frames for all shapes.  LibTorch switches from oneDNN to a plain loop if
// batch x channels x frames x rows is at most 20,480 (14 GFLOP/s at width 16), so on the CPU oneDNN is called
// explicitly.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace ferry::model::vae {

struct Filter {
  at::Tensor weight;  // [out, in, (kt,) kh, kw], channels-last
  at::Tensor bias;    // [out]
};

// Rows above and below a frame: zero padding, or rows present in `in` in place of the padding.
enum class Beyond : std::uint8_t { Zeros, Rows };

// A convolution in time and space over frames that include their past in front.
//   in      [t + kt - 1, h, w, c]
//   returns [t, h, w, out]: zero padding in space (odd kh, kw), none in time; with Beyond::Rows kh - 1 rows
//           less than `in` has
at::Tensor conv_in_time(const at::Tensor& in, const Filter& filter, Beyond beyond = Beyond::Zeros);

// A convolution of each frame separately, with `padding` zeros on every side.
//   in      [t, h, w, c]; filter.weight [out, in, kh, kw]
//   returns [t, h + 2 padding - kh + 1, w + 2 padding - kw + 1, out]; with Beyond::Rows 2 padding rows less
at::Tensor conv_in_space(const at::Tensor& in, const Filter& filter, std::int64_t padding,
                         Beyond beyond = Beyond::Zeros);

// The filter's slice at one temporal tap: equivalent if all other frames are zero.
Filter tap(const Filter& filter, std::int64_t time);

// Nearest-neighbour doubling of rows and columns followed by a 3x3 convolution with padding 1, computed on
// the small frames: each of the four pixels made from one sees only 2x2 distinct neighbours, so the 3x3 taps
// on the same neighbour are summed first.  4/9 of the arithmetic, and the doubled frames are never
// materialised.
//   in      [t, h, w, c], with Beyond::Rows [t, 1 + h + 1, w, c]; filter.weight [out, in, 3, 3]
//   out     [t, 2h, 2w, out], written; frames may be strided
void double_and_conv(const at::Tensor& in, const Filter& filter, const at::Tensor& out,
                     Beyond beyond = Beyond::Zeros);

}  // namespace ferry::model::vae
