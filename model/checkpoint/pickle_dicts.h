// From the values of a pickle to the dicts that hold tensors.
#pragma once

#include <vector>

#include "model/checkpoint/pickle_machine.h"

namespace ferry::model {

// As read_pickle (model/checkpoint/pickle.h) promises, from the machine's root.
std::vector<PickledDict> tensor_dicts(const PickleMachine& machine, PickleRef root);

}  // namespace ferry::model
