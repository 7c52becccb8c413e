// From the values of a pickle to the dicts that hold tensors.
#pragma once

#include <vector>

#include "checkpoint/pickle/pickle_machine.h"

namespace ferry::checkpoint {

// As read_pickle (checkpoint/pickle/pickle.h) promises, from the machine's root.
std::vector<PickledDict> tensor_dicts(const PickleMachine& machine, PickleRef root);

}  // namespace ferry::checkpoint
