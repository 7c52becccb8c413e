// Names of a command's options, and suggestions for unknown names.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "launcher/options/flag.h"

namespace ferry::launcher {

// All names under which a value can be given ("job.prompt", "prompt"), and their flags.
using Names = std::map<std::string, const Flag*>;

Names names_of(const std::vector<FlagGroup>& groups);

// Where a name was written: as --like.this, or as group.key in a file.
enum class Place : std::uint8_t { CommandLine, File, Manifest };

// "; did you mean --prompt?", or nothing if no name is near.  In order of precedence: the same letters
// (dashes for underscores, capitals), another program's name for the same option (launcher/options/words.h),
// a key without its group, the smallest edit distance.  `word` has no leading dashes.
std::string meant(const std::string& word, const Names& names, Place place);

// As above for a group of a file: "; did you mean [offload]?".
std::string meant_group(const std::string& group, const Names& names);

// True if a key starts with `group` and a dot.
bool is_group(const std::string& group, const Names& names);

}  // namespace ferry::launcher
