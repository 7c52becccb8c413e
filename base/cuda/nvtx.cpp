#include <nvtx3/nvToolsExt.h>

#include "base/trace.h"

namespace ferry {

void nvtx_push(const char* name) { nvtxRangePushA(name); }
void nvtx_pop() { nvtxRangePop(); }

}  // namespace ferry
