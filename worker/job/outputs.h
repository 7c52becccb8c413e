// A job's outputs: their names, and checks that they can be written and that no other run writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/files/reservation.h"
#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Names the video, the sheet, the record and the saved tensors, chooses the codec, and checks that each can
// be written and that there is space.  Creates nothing.
// Throws UserError: what was wrong, the value, what is accepted.
void name_outputs(Job& job, const JobOptions& options);

// Where a run is kept while it is unfinished.
struct StateName {
  std::string path;
  std::optional<Reservation> held{};  // so that no other run on this node writes it
};

// run.state, else .NAME.state beside the video of a job with `out` or a name, else .SLUG-HASH.state in the
// current folder, with a hash of what is sampled but a drawn seed.  Of the last kind runs at the same time
// have one each, numbered from 2 on; one that is there is preferred.  Throws UserError if another run holds
// run.state.
StateName hold_state(const Options& options, const Job& job);

// Upper bound of the results' bytes.
std::uint64_t most_output_bytes(const Job& job);

// Names held by a run from start to end, so that no other run on this node computes for hours towards the
// same ones.
struct HeldNames {
  std::vector<Reservation> names;
  std::string latents;           // their path while the VAE decodes; empty: this run only decodes
  bool latents_replace = false;  // the file exists, left by a killed run of this very job
};

// Holds the names of all outputs, including the timeline, and checks again whether they are
// taken. The latents' name is STEM.latents.safetensors beside the video, truncated if too long, with a number
// if taken. Throws UserError if another run holds one of them, two of this run's outputs are the same file,
// or one is a file that this run reads (worker/job/inputs.h).
HeldNames hold_names(const Options& options, const Job& job);

}  // namespace ferry::worker
