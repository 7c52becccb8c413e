// Where a wrapped module's weights live, and in which dtype, in each of its three states (type
// `sequential`); the six keys of module_config and overflow_module_config.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/dtype.h"

namespace ferry::offload {

// "cpu" is the node's arena (or host memory of this rank where the dtype differs from the arena's);
// "cuda" is the device the stage computes on, which with --device cpu is its accounted stand-in.
enum class Place : std::uint8_t { Host, Device };

struct Setting {
  DType dtype = DType::BF16;
  Place place = Place::Host;
  friend bool operator==(const Setting&, const Setting&) = default;
};

struct ModuleConfig {
  Setting offload;      // state 0
  Setting onload;       // state 1
  Setting computation;  // state 2, and what a call computes with
};

// Reads offload_dtype, offload_device, onload_dtype, onload_device, computation_dtype, computation_device;
// what is not given is taken from `defaults`.
// Throws UserError: an unknown key (names the nearest), an unknown dtype or device, a computation_device
// other than cuda, a computation_dtype that is neither fp32 nor bf16 nor fp16.
ModuleConfig parse_module_config(const std::map<std::string, std::string>& keys, const ModuleConfig& defaults);

// State 0 in the arena's dtype on the host, states 1 and 2 in the compute dtype on the device.
ModuleConfig default_module_config(DType arena_dtype, DType compute_dtype);

}  // namespace ferry::offload
