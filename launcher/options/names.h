// The names of a command's options, and what a name that is none of them was meant to be.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "launcher/options/flag.h"

namespace ferry::launcher {

// Every name under which a value can be given ("job.prompt", "prompt"), and what it stands for.
using Names = std::map<std::string, const Flag*>;

Names names_of(const std::vector<FlagGroup>& groups);

// How a name was written: --like.this or, in a file, group.key.
enum class Place : std::uint8_t { CommandLine, File };

// "; did you mean --prompt?", or nothing when no name is near.  In this order: the same letters (dashes for
// underscores, capitals), the word of another program of the field for the same thing
// (launcher/options/words.h), a key without its group, the smallest edit distance.  `word` has no leading
// dashes.
std::string meant(const std::string& word, const Names& names, Place place);

// The same for a group of a file: "; did you mean [offload]?".
std::string meant_group(const std::string& group, const Names& names);

// True when some key begins with `group` and a dot.
bool is_group(const std::string& group, const Names& names);

}  // namespace ferry::launcher
