#include "base/trace.h"

namespace ferry {

void nvtx_push(const char*) {}
void nvtx_pop() {}

}  // namespace ferry
