#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "launcher/options/keys.h"
#include "launcher/options/value.h"
#include "offload/sequential/module_config.h"

namespace ferry::launcher {
namespace {

using Stages = std::vector<offload::Options*>;
using Store = std::function<void(offload::Options&, const std::string& flag, const std::string& value)>;

const std::vector<std::string> kTypes = {"none", "model", "sequential", "async", "auto"};
const std::vector<std::string> kTransports = {"full", "sharded", "auto"};
const std::vector<std::string> kInterleaves = {"free", "gated", "auto"};
const std::vector<std::string> kModuleKeys = {"offload_dtype", "offload_device",    "onload_dtype",
                                              "onload_device", "computation_dtype", "computation_device"};

// "offload_dtype=fp32,onload_device=cuda" -> a map of the six keys of a module's three states.
std::map<std::string, std::string> to_module_config(const std::string& flag, const std::string& text) {
  std::map<std::string, std::string> config;
  std::istringstream stream(text);
  for (std::string entry; std::getline(stream, entry, ',');) {
    std::erase(entry, ' ');
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) {
      throw UserError(fmt::format("{}: '{}' is not key=value, as in onload_dtype=bf16", flag, entry));
    }
    const std::string& key = kModuleKeys[to_choice(flag, entry.substr(0, equals), kModuleKeys)];
    if (!config.emplace(key, entry.substr(equals + 1)).second)
      throw UserError(fmt::format("{}: {} is given twice", flag, key));
  }
  offload::parse_module_config(config, flag);  // for what it refuses
  return config;
}

Flag make_flag(const std::string& prefix, const Stages& stages, Flag flag, const Store& store) {
  const bool shared = prefix == "offload";
  flag.set = [stages, store, shared, key = flag.key](const std::string& name, const std::string& value) {
    for (offload::Options* stage : stages) {
      store(*stage, name, value);
      stage->shared.erase(key);
      if (shared) stage->shared.insert(key);
    }
  };
  flag.key = prefix + "." + flag.key;
  return flag;
}

std::vector<Flag> layer_keys(const std::string& prefix, const Stages& stages) {
  return {
      make_flag(prefix, stages, {"type", "", "NAME", "none, model, sequential, async, auto", "none"},
                [](auto& o, auto& flag, auto& value) {
                  o.type = static_cast<offload::Type>(to_choice(flag, value, kTypes));
                }),
      make_flag(prefix, stages,
                {"offload_ratio", "", "R", "share of the blocks that are ferried, 0 to 1", "1"},
                [](auto& o, auto& flag, auto& value) { o.offload_ratio = to_number(flag, value, 0, 1); }),
      make_flag(prefix, stages, {"prefetch_size", "", "N", "blocks copied ahead", "1"},
                [](auto& o, auto& flag, auto& value) {
                  o.prefetch_size = static_cast<int>(to_integer(flag, value, 1, INT32_MAX));
                }),
      make_flag(prefix, stages, {"pin_cpu_memory", "", "BOOL", "page-lock the host copy", "true"},
                [](auto& o, auto& flag, auto& value) { o.pin_cpu_memory = to_bool(flag, value); }),
      make_flag(prefix, stages, {"lazy_gpu_cache", "", "BOOL", "take device memory at first use", "false"},
                [](auto& o, auto& flag, auto& value) { o.lazy_gpu_cache = to_bool(flag, value); }),
      make_flag(prefix, stages, {"transport", "", "NAME", "full, sharded, auto", "auto"},
                [](auto& o, auto& flag, auto& value) {
                  o.transport = static_cast<offload::Transport>(to_choice(flag, value, kTransports));
                }),
      make_flag(
          prefix, stages,
          {"share", "", "R", "of a block, divided between ranks: 0 (full) to 1 (sharded), auto", "auto"},
          [](auto& o, auto& flag, auto& value) {
            o.share = value == "auto" ? std::nullopt : std::optional(to_number(flag, value, 0, 1));
          }),
      make_flag(prefix, stages,
                {"interleave", "", "NAME", "copies against exchanges: free, gated, auto", "auto"},
                [](auto& o, auto& flag, auto& value) {
                  o.interleave = static_cast<offload::Interleave>(to_choice(flag, value, kInterleaves));
                }),
      make_flag(prefix, stages,
                {"link_gbps", "", "G", "cap of each rank's copies, 1e9 bytes/s; 0: none", "0"},
                [](auto& o, auto& flag, auto& value) { o.link_gbps = to_number(flag, value, 0, 1e6); })};
}

std::vector<Flag> module_keys(const std::string& prefix, const Stages& stages) {
  return {
      make_flag(prefix, stages,
                {"vram_limit", "", "GIB", "sequential: keep modules while accounted bytes stay below"},
                [](auto& o, auto& flag, auto& value) { o.vram_limit = to_number(flag, value, 0, 1e6); }),
      make_flag(
          prefix, stages, {"max_num_param", "", "N", "sequential: larger modules use overflow_module_config"},
          [](auto& o, auto& flag, auto& value) { o.max_num_param = to_integer(flag, value, 1, INT64_MAX); }),
      make_flag(prefix, stages,
                {"module_map", "", "LIST", "sequential: kinds of module to wrap", "every module"},
                [](auto& o, auto& flag, auto& value) {
                  offload::parse_module_map(value, flag);  // for what it refuses
                  o.module_map = value;
                }),
      make_flag(prefix, stages,
                {"module_config", "", "K=V,..", "sequential: dtype and device of the three states"},
                [](auto& o, auto& flag, auto& value) { o.module_config = to_module_config(flag, value); }),
      make_flag(prefix, stages, {"overflow_module_config", "", "K=V,..", "the same, for modules too large"},
                [](auto& o, auto& flag, auto& value) {
                  o.overflow_module_config = to_module_config(flag, value);
                })};
}

}  // namespace

std::vector<Flag> offload_keys(const std::string& prefix, const std::vector<offload::Options*>& stages) {
  std::vector<Flag> keys = layer_keys(prefix, stages);
  for (Flag& flag : module_keys(prefix, stages)) keys.push_back(std::move(flag));
  return keys;
}

}  // namespace ferry::launcher
