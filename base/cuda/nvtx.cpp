#include <nvtx3/nvToolsExt.h>

#include <array>
#include <cstdio>

#include "base/trace.h"

namespace ferry {

void nvtx_push(const char* name, int index) {
  if (index < 0) {
    nvtxRangePushA(name);
    return;
  }
  std::array<char, 64> text{};  // longer names are truncated
  std::snprintf(text.data(), text.size(), "%s %d", name, index);
  nvtxRangePushA(text.data());
}

void nvtx_pop() { nvtxRangePop(); }

}  // namespace ferry
