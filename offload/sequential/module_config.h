// What the user says about the modules of a sequential stage: where the weights are and in which dtype, in
// each of the three states, and which wrapper a kind of module gets.
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

// dtype and device of one state; no dtype: the one the network asks for.
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

// The six keys offload_dtype, offload_device, onload_dtype, onload_device, computation_dtype and
// computation_device; those that are missing keep their defaults.  Dtypes: fp32, bf16, fp16, fp8.
// Devices: "cpu", and "cuda" for the device that the stage runs on, whichever it is.
// Throws UserError naming `option`, the key or value, and what is accepted.
ModuleConfig parse_module_config(const std::map<std::string, std::string>& keys, const std::string& option);

enum class Wrapper : std::uint8_t {
  None,                  // not wrapped: resident
  AutoWrappedModule,     // any module
  AutoWrappedLinear,     // a linear, with LoRA
  WanAutoCastLayerNorm,  // a norm whose weights may be kept in any dtype; computes in the network's
};

std::string_view name_of(Wrapper wrapper);

using ModuleMap = std::map<model::ModuleKind, Wrapper>;

// "linear, layernorm=WanAutoCastLayerNorm, conv": kinds with or without a wrapper.  Kinds: linear,
// layernorm, rmsnorm, conv, embedding, parameter, and "module" for all.  Without a wrapper a linear gets
// AutoWrappedLinear, a layernorm WanAutoCastLayerNorm, the rest AutoWrappedModule.  Empty: "module".
// Throws UserError naming `option`, for an unknown kind or wrapper, and for a wrapper that does not suit the
// kind.
ModuleMap parse_module_map(const std::string& text, const std::string& option = "offload.module_map");

// The word for a kind in such a list.
std::string_view name_of(model::ModuleKind kind);

}  // namespace ferry::offload
