// Tells ThreadSanitizer of reads that it cannot see.
#pragma once

#include <cstddef>

namespace ferry::offload {

// LibTorch is not instrumented, so a copy that races with a linear would go unseen.  In a build with
// ThreadSanitizer this reads the range as the linear will; elsewhere it does nothing.
void annotate_read(const void* data, std::size_t bytes);

}  // namespace ferry::offload
