// Splits the rows of every frame between the ranks that decode a video together.
//
// Each rank owns a band of the latent's rows, and at each stage of the decoder the rows that grow from them.
// For each 3x3 convolution one row of each neighbour's band, the halo, is fetched: so every value is computed
// once, by one rank, from the same inputs as on a single rank.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/device.h"
#include "parallel/group.h"

namespace ferry::model::vae {

// This rank's band, in latent rows.
struct Band {
  parallel::Group* group = nullptr;  // nullptr: whole frames, no communication
  std::int64_t begin = 0;
  std::int64_t rows = 0;
  std::int64_t height = 0;  // height of the whole latent

  bool split() const { return group != nullptr; }
};

// Even bands for the ranks of `group`; if they do not divide the rows, the first ranks have one row more.
// Whole frames if `group` is nullptr or has one rank, or if there are fewer rows than ranks: then every rank
// decodes everything.
Band band_of(parallel::Group* group, std::int64_t height);

// The functions below are collective over band.group, with equal shapes except for the rows, and are queued
// on `stream`.  On CUDA it must be the current stream.

// Fills the first and the last row of each frame with the neighbours' adjacent rows; zeros at the picture's
// edge.
//   frames  [t, 1 + rows + 1, w, c] contiguous; `rows` is a multiple of the band's
void fetch_halos(const Band& band, const at::Tensor& frames, Stream& stream);

// Gathers the rows of all ranks on every rank, or on the first (undefined on the others).
//   mine     [t, rows, ...] contiguous; `rows` is a multiple of the band's
//   returns  [t, all rows, ...]
at::Tensor gather_rows(const Band& band, const at::Tensor& mine, Stream& stream);
at::Tensor gather_rows_on_first(const Band& band, const at::Tensor& mine, Stream& stream);

}  // namespace ferry::model::vae
