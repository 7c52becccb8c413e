// Makes reads by LibTorch visible to ThreadSanitizer.
#pragma once

#include <cstddef>

namespace ferry::offload {

// LibTorch is not instrumented, so a copy that races with a linear would go unnoticed.  In a build with
// ThreadSanitizer this reads the range as the linear will; otherwise a no-op.
void annotate_read(const void* data, std::size_t bytes);

}  // namespace ferry::offload
