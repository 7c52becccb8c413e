#include "offload/module_config.h"

#include <array>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"

namespace ferry::offload {

namespace {

const std::vector<std::string> kKeys = {"offload_dtype", "offload_device",    "onload_dtype",
                                        "onload_device", "computation_dtype", "computation_device"};

DType storage_dtype(const std::string& key, const std::string& value) {
  for (const DType dtype : {DType::F32, DType::BF16, DType::F16, DType::F8E4M3}) {
    if (value == name_of(dtype)) return dtype;
  }
  throw UserError(key + " = " + value + ": a dtype is one of fp32, bf16, fp16, fp8");
}

Place place_of(const std::string& key, const std::string& value) {
  if (value == "cpu") return Place::Host;
  if (value == "cuda") return Place::Device;
  throw UserError(key + " = " + value + ": a device is cpu or cuda");
}

void assign(ModuleConfig& config, const std::string& key, const std::string& value) {
  const std::string state = key.substr(0, key.find('_'));
  Setting& setting = state == "offload"  ? config.offload
                     : state == "onload" ? config.onload
                                         : config.computation;
  if (key.ends_with("_dtype")) {
    setting.dtype = storage_dtype(key, value);
  } else {
    setting.place = place_of(key, value);
  }
}

}  // namespace

ModuleConfig parse_module_config(const std::map<std::string, std::string>& keys, const ModuleConfig& defaults) {
  ModuleConfig config = defaults;
  for (const auto& [key, value] : keys) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      throw UserError("module_config has no key " + key + "; did you mean " + nearest(key, kKeys) + "?");
    }
    assign(config, key, value);
  }
  if (config.computation.place != Place::Device) {
    throw UserError("computation_device = cpu: modules compute on the stage's device, so it must be cuda");
  }
  if (config.computation.dtype == DType::F8E4M3) {
    throw UserError("computation_dtype = fp8: computing needs fp32, bf16 or fp16");
  }
  return config;
}

ModuleConfig default_module_config(DType arena_dtype, DType compute_dtype) {
  return {.offload = {arena_dtype, Place::Host},
          .onload = {compute_dtype, Place::Device},
          .computation = {compute_dtype, Place::Device}};
}

}  // namespace ferry::offload
