// Latents on disk: those that a run keeps until its results are written, and those that --latents decodes.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/vae/config.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/job/outputs.h"

namespace ferry::worker {

// STEM.latents.safetensors beside STEM.mp4; from number 2 on STEM.latents-2.safetensors.  The stem is cut
// where the name would be too long for the folder.
std::string latents_path(const std::string& video, int number);

// x of x.latents.safetensors, x.latents-2.safetensors and x.safetensors (or .st), without the folder.
std::string stem_of_latents(const std::string& path);

// Whether a file holds the latents that a run of this very job kept: seed, names and every option included.
bool are_latents_of(const std::string& path, const Options& options, const Job& job);

// Fills in what `options.latents` says about a job that only decodes it: size, frames and frames a second.
// Throws UserError: no such file or tensor, not [z_dim, T, h, w], a size or frames in `options` that are not
// its.
void take_latents(Job& job, const JobOptions& options, const model::VaeConfig& vae);

// What a run computed, safe on disk while it is decoded and written.  One process's.
//
//   file    tensor `latents` fp32 [C, T, h, w]; in the metadata `made_by`, {"job": ..., "options": ...}
class KeptLatents {
 public:
  // Keeps nothing yet.
  KeptLatents(const Options& options, const Job& job, const HeldNames& names)
      : options_(&options), job_(&job), names_(&names) {}

  // Writes them to the name that the run holds, else to $TMPDIR (/tmp), else to the current folder, and says
  // where they are.  When none takes them it says so and goes on.
  //
  //   latents  [C, T, h, w] fp32 on the CPU
  void keep(const at::Tensor& latents);
  // The results are written: removes the file, and forgets.
  void remove() noexcept;
  // For the line that ends the run: where the latents are and how to go on with them.  Writes them again
  // when their folder has vanished.  Empty before keep().
  std::string way_on();

 private:
  bool is_there() const;
  bool write(const std::string& path, bool replace);

  const Options* options_;
  const Job* job_;
  const HeldNames* names_;
  at::Tensor latents_;
  std::string path_;                    // empty: not on disk
  std::array<std::int64_t, 4> file_{};  // which file was written there: device, inode, time
};

}  // namespace ferry::worker
