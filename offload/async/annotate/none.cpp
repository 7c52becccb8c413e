#include "offload/async/annotate.h"

namespace ferry::offload {

void annotate_read(const void*, std::size_t) {}

}  // namespace ferry::offload
