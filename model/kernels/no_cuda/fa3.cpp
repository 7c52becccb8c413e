#include "model/kernels/fa3.h"
#include "base/error.h"

namespace ferry::model::kernels {

std::string find_fa3() { return {}; }

bool takes_fa3(const Device&) { return false; }

Attention load_fa3(const std::string&, const Device&) {
  throw UserError("attention.impl fa3: this program was built without CUDA; accepted: auto, flash, math");
}

}  // namespace ferry::model::kernels
