// Calls that a pickle may make: the few allowed functions, implemented here.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "checkpoint/pickle/pickle_value.h"

namespace ferry::checkpoint {

// Returns `callable(*arguments)`; `values` is the machine's list.
// Throws UserError naming `file` if the arguments are not what torch.save writes.
PickleValue call_global(const KnownGlobal& callable, std::span<const PickleRef> arguments,
                        const std::vector<PickleValue>& values, const std::string& file);

// The storage for a persistent id ("storage", class, key, location, elements).
PickleValue storage_of(const PickleValue& id, const std::vector<PickleValue>& values,
                       const std::string& file);

}  // namespace ferry::checkpoint
