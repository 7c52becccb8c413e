// Extracts the dicts with tensors from a pickle's values.
#pragma once

#include <vector>

#include "checkpoint/pickle/pickle_machine.h"

namespace ferry::checkpoint {

// Returns the dicts as documented at read_pickle (checkpoint/pickle/pickle.h), from the machine's root.
std::vector<PickledDict> tensor_dicts(const PickleMachine& machine, PickleRef root);

}  // namespace ferry::checkpoint
