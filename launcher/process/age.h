// How long this process has been running.
#pragma once

namespace ferry::launcher {

// Seconds since the kernel started it, to a hundredth; 0 if /proc does not say.
double process_age_s();

}  // namespace ferry::launcher
