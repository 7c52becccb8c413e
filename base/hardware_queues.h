// CUDA puts streams on CUDA_DEVICE_MAX_CONNECTIONS hardware queues, 8 unless told otherwise.  What is queued
// behind a wait in the same queue waits too, whatever its stream: where a stream waits for what another rank,
// or another stream, is yet to write (base/stream_gate.h, parallel/node/peer_port.h), that can be for ever.
#pragma once

#include <string>

namespace ferry {

inline constexpr int kHardwareQueues = 32;  // the most there are, and more than a rank has streams

// Sets the variable unless it asks for as many; returns what it said when that was too few, else nothing.
// Before the first thread and the first call of CUDA.
std::string provide_hardware_queues();

}  // namespace ferry
