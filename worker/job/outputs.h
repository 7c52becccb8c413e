// Where a job's results go: their names, whether they can be written, and who else writes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/files/reservation.h"
#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Names the video, the sheet, the record and the saved tensors, chooses the codec, and checks that each can
// be written and that there is room.  Makes nothing.
// Throws UserError: what was wrong, the value, what is accepted.
void name_outputs(Job& job, const JobOptions& options);

// Bytes that the results may take, an upper bound.
std::uint64_t most_output_bytes(const Job& job);

// The names that a run holds from its start to its end, so that no other run of this node computes for hours
// towards the same ones.
struct HeldNames {
  std::vector<Reservation> names;
  std::string latents;           // where they lie while the VAE decodes; empty: this run only decodes
  bool latents_replace = false;  // the file is there, left by this very job when it was killed
};

// Holds the names of all outputs, that of the timeline among them, and looks again whether they are taken.
// The latents' name is STEM.latents.safetensors beside the video, cut where it would be too long, with a
// number where it is taken.
// Throws UserError when another run holds one of them, when two of this run's outputs are one file, or when
// one is a file that this run reads (worker/job/inputs.h).
HeldNames hold_names(const Options& options, const Job& job);

}  // namespace ferry::worker
