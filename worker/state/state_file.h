// State files: an unfinished run on disk, from which the same command goes on to the same bits.
//
//   safetensors, in this order
//     latent        F32 [C, T, h, w]
//     sampler.NAME  F32, latent's shape: what the sampler keeps between steps; none after the last step
//     context.0, .1 F32, BF16 or F16 [L, D], conditional first
//     checksum      I64 [1]: CRC-32 of all bytes of the file before it, the header's included
//   metadata
//     ferry_state   "1", the format
//     steps_done    decimal
//     identity      what the run is (worker/state/identity.h), JSON
#pragma once

#include <string>

#include "worker/state/sampling_state.h"

namespace ferry::worker {

struct StateFile {
  SamplingState sampling;  // on the CPU
  std::string identity;
};

// Writes the file; it appears complete or not at all, replaces an older one, and is on disk, folder included,
// on return.  Throws FileError.
void write_state(const std::string& path, const StateFile& state);

// True if the beginning of a file says that it is one; it may be damaged.
bool is_state(const std::string& path);

// Reads it into memory of its own.  Throws UserError with the reason: not readable, damaged anywhere, another
// format.
StateFile read_state(const std::string& path);

}  // namespace ferry::worker
