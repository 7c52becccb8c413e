// Checkpoint folders as the Hugging Face Hub's programs keep them.
//
//   models--Wan-AI--Wan2.1-T2V-1.3B/refs/main         the commit of a branch
//                                  /snapshots/COMMIT/  the files, as links
//                                  /blobs/             what the links lead to
#pragma once

#include <string>

namespace ferry::checkpoint {

// The folder that holds the files: for the top folder of a cached model (or its snapshots/) the snapshot that
// refs/main names, else the only one; any other path as it is.
// Throws UserError: several snapshots and no refs/main that names one of them (they are listed), or none.
std::string model_folder(const std::string& path);

// model_folder(path).  Throws UserError when that is no folder; for a name such as Wan-AI/Wan2.1-T2V-1.3B it
// says how to download it, or where it lies in the cache.
std::string existing_model_folder(const std::string& path);

}  // namespace ferry::checkpoint
