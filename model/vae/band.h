// The rows of every frame, divided between the ranks that decode a video together.
//
// A rank keeps a band of the latent's rows, and at each stage of the decoder the rows that grow from them.
// What a 3x3 convolution needs beyond its band is one row of each neighbour's, the halo, which is fetched
// before it: so every value is computed once, by one rank, from what one rank alone would have.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/device.h"
#include "parallel/group.h"

namespace ferry::model::vae {

// Of this rank, in latent rows.
struct Band {
  parallel::Group* group = nullptr;  // nullptr: whole frames, which need nobody
  std::int64_t begin = 0;
  std::int64_t rows = 0;
  std::int64_t height = 0;  // of the whole latent

  bool split() const { return group != nullptr; }
};

// Even bands for the ranks of `group`; where they do not divide the rows, the first ranks have one row more.
// Whole frames where `group` is nullptr or one rank, and where there are fewer rows than ranks: there each
// rank decodes everything.
Band band_of(parallel::Group* group, std::int64_t height);

// What follows is collective over band.group, all ranks with the same shapes but for the rows, and is queued
// on `stream`.  On CUDA it is the current stream.

// Fills the first and the last row of each frame with the neighbours' rows next to this band; zeros at the
// picture's edge.
//   frames  [t, 1 + rows + 1, w, c] contiguous; `rows` is a multiple of the band's
void fetch_halos(const Band& band, const at::Tensor& frames, Stream& stream);

// The rows of all ranks, on every rank or on the first (undefined on the others).
//   mine     [t, rows, ...] contiguous; `rows` is a multiple of the band's
//   returns  [t, all rows, ...]
at::Tensor gather_rows(const Band& band, const at::Tensor& mine, Stream& stream);
at::Tensor gather_rows_on_first(const Band& band, const at::Tensor& mine, Stream& stream);

}  // namespace ferry::model::vae
