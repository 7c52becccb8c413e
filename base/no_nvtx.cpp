#include "base/trace.h"

namespace ferry {

void nvtx_push(const char*, int) {}
void nvtx_pop() {}

}  // namespace ferry
