// CUDA maps streams to CUDA_DEVICE_MAX_CONNECTIONS hardware queues, 8 by default.  Work behind a wait in the
// same queue waits too, whatever its stream: where a stream waits for a write by another rank or stream
// (base/stream_gate.h, parallel/node/peer_port.h), that can deadlock.
#pragma once

#include <string>

namespace ferry {

inline constexpr int kHardwareQueues = 32;  // CUDA's maximum, and more than the streams of a rank

// Raises the variable to kHardwareQueues; returns its former value if that was set and too low, else "". Call
// before the first thread and the first CUDA call.
std::string provide_hardware_queues();

}  // namespace ferry
