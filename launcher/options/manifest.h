// Reads the manifest of --jobs: JSON lines, one object per video.
//
// An object has keys of [job] ("prompt", "size", "seed", ...), which override the command line and .cfg
// files, a list `lora` of {"path", "strength"} in place of theirs, and a free `id`.  Without `out` a video is
// named after its id, else line-0001 after its line.  Blank lines are skipped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launcher/options/flag.h"
#include "worker/batch/batch.h"

namespace ferry::launcher {

// The manifest's text; "-" is standard input.  Throws UserError: it cannot be read, or is too long.
std::string read_manifest(const std::string& path);

// `given`: settings of the command line and files, as of gather_settings().  What is wrong with the values of
// one item, numbers that are too large (launcher/options/numbers.h) included, becomes its error.
// Throws UserError "PATH: line N: ...": not JSON or no object, no item at all, two items that write one file.
std::vector<worker::BatchItem> parse_manifest(std::string_view text, const std::string& path,
                                              const std::vector<Setting>& given);

// Where the failed items of a manifest are listed: FILE.failed.jsonl, for "-" stdin.failed.jsonl in the
// current folder.
std::string failed_path_of(const std::string& path);

}  // namespace ferry::launcher
