// User settings of a sequential stage's modules: location and dtype of the weights in each of the three
// states, and the wrapper of each kind of module.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/dtype.h"
#include "model/weights.h"

namespace ferry::offload {

enum class Place : std::uint8_t { Host, Device };

// dtype and device of one state; no dtype: the network's.
struct StateConfig {
  std::optional<DType> dtype;
  Place place = Place::Device;
  friend bool operator==(const StateConfig&, const StateConfig&) = default;
};

struct ModuleConfig {
  StateConfig offload{.dtype = std::nullopt, .place = Place::Host};
  StateConfig onload;
  StateConfig computation;
};

// Parses the six keys offload_dtype, offload_device, onload_dtype, onload_device, computation_dtype and
// computation_device; missing ones keep their defaults.  Dtypes: fp32, bf16, fp16, fp8.  Devices: "cpu", and
// "cuda" for the device of the stage, of either kind.
// Throws UserError naming `option`, the key or value, and the accepted ones.
ModuleConfig parse_module_config(const std::map<std::string, std::string>& keys, const std::string& option);

enum class Wrapper : std::uint8_t {
  None,                  // not wrapped: resident
  AutoWrappedModule,     // any module
  AutoWrappedLinear,     // a linear, with LoRA
  WanAutoCastLayerNorm,  // a norm whose weights may have any dtype; computes in the network's
};

std::string_view name_of(Wrapper wrapper);

using ModuleMap = std::map<model::ModuleKind, Wrapper>;

// Parses a list such as "linear, layernorm=WanAutoCastLayerNorm, conv": kinds with or without a wrapper.
// Kinds: linear, layernorm, rmsnorm, conv, embedding, parameter, and "module" for all.  The default wrapper
// is AutoWrappedLinear for a linear, WanAutoCastLayerNorm for a layernorm, AutoWrappedModule for the rest.
// An empty text means "module".
// Throws UserError naming `option`, for an unknown kind or wrapper, and for a wrapper that does not suit the
// kind.
ModuleMap parse_module_map(const std::string& text, const std::string& option = "offload.module_map");

// The name of a kind in such a list.
std::string_view name_of(model::ModuleKind kind);

}  // namespace ferry::offload
