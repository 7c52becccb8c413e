// Checkpoint folders in the layout of the Hugging Face Hub's cache.
//
//   models--Wan-AI--Wan2.1-T2V-1.3B/refs/main         the commit of a branch
//                                  /snapshots/COMMIT/  the files, as links
//                                  /blobs/             the targets of the links
#pragma once

#include <string>

namespace ferry::checkpoint {

// Returns the folder that holds the files: for the top folder of a cached model (or its snapshots/) the
// snapshot named by refs/main, else the only one; any other path unchanged.
// Throws UserError: several snapshots and no refs/main that names one of them (they are listed), or none.
std::string model_folder(const std::string& path);

// As model_folder(), and throws UserError if that is not a folder; for a name such as Wan-AI/Wan2.1-T2V-1.3B
// the message says how to download it, or where it is in the cache.
std::string existing_model_folder(const std::string& path);

}  // namespace ferry::checkpoint
