// Latents on disk: kept by a run until its results are written, or decoded by --latents.
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

// STEM.latents.safetensors beside STEM.mp4; from number 2 on STEM.latents-2.safetensors.  The stem is
// truncated if the name would be too long for the folder.
std::string latents_path(const std::string& video, int number);

// x of x.latents.safetensors, x.latents-2.safetensors and x.safetensors (or .st), without the folder.
std::string stem_of_latents(const std::string& path);

// The run that made a file of latents, as JSON {"job": ..., "options": ...}; empty if it is none or does not
// say.
std::string made_by_of(const std::string& path);
// True if a file holds the latents kept by a run of this very job: seed, names and all options are equal.
bool are_latents_of(const std::string& path, const Options& options, const Job& job);

// Fills in the fields that `options.latents` determines for a decoding-only job: size, frames and frame rate.
// Throws UserError: no such file or tensor, not [z_dim, T, h, w], a different size or frame count in
// `options`.
void take_latents(Job& job, const JobOptions& options, const model::VaeConfig& vae);

// Keeps a run's latents on disk while they are decoded and written.  Used by one process.
//
//   file    tensor `latents` fp32 [C, T, h, w]; in the metadata `made_by`, {"job": ..., "options": ...}
class KeptLatents {
 public:
  // Keeps nothing yet.
  KeptLatents(const Options& options, const Job& job, const HeldNames& names)
      : options_(&options), job_(&job), names_(&names) {}

  // Writes them under the name held by the run, else to $TMPDIR (/tmp), else to the current folder, and logs
  // where they are.  If none works, logs that and continues.
  //
  //   latents  [C, T, h, w] fp32 on the CPU
  void keep(const at::Tensor& latents);
  // Call once the results are written: removes the file.
  void remove() noexcept;
  // For the run's last line: where the latents are and how to continue from them.  Writes them again if their
  // folder has vanished.  Empty before keep().
  std::string way_on();

 private:
  bool is_there() const;
  bool write(const std::string& path, bool replace);

  const Options* options_;
  const Job* job_;
  const HeldNames* names_;
  at::Tensor latents_;
  std::string path_;                    // empty: not on disk
  std::array<std::int64_t, 4> file_{};  // identity of the written file: device, inode, time
};

}  // namespace ferry::worker
