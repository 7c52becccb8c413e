#include "offload/async/annotate.h"

extern "C" void __tsan_read_range(void* data, unsigned long bytes);

namespace ferry::offload {

void annotate_read(const void* data, std::size_t bytes) { __tsan_read_range(const_cast<void*>(data), bytes); }

}  // namespace ferry::offload
