#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/text/shown.h"
#include "launcher/options/keys.h"
#include "launcher/options/value.h"
#include "offload/sequential/module_config.h"

namespace ferry::launcher {
namespace {

using Stages = std::vector<offload::Options*>;
using Store = std::function<void(offload::Options&, const std::string& flag, const std::string& value)>;

const offload::Options kDefaults;
const std::vector<std::string> kModuleKeys = {"offload_dtype", "offload_device",    "onload_dtype",
                                              "onload_device", "computation_dtype", "computation_device"};

template <typename Value>
std::string text(const Value& value) {
  return fmt::format("{}", value);
}

template <Worded Enum>
std::string text(const Enum& value) {
  return std::string(word_of(value));
}

// Parses "offload_dtype=fp32,onload_device=cuda", the six keys of a module's three states.
std::map<std::string, std::string> to_module_config(const std::string& flag, const std::string& text) {
  std::map<std::string, std::string> config;
  std::istringstream stream(text);
  for (std::string entry; std::getline(stream, entry, ',');) {
    std::erase(entry, ' ');
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) {
      throw UserError(fmt::format("{}: '{}' is not key=value, as in onload_dtype=bf16", flag, shown(entry)));
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

std::vector<Flag> stage_keys(const std::string& prefix, const Stages& stages) {
  return {
      make_flag(
          prefix, stages, {"type", "", "NAME", words_text<offload::StrategyKind>(), text(kDefaults.type)},
          [](auto& o, auto& flag, auto& value) { o.type = to_enum<offload::StrategyKind>(flag, value); }),
      make_flag(prefix, stages,
                {"offload_ratio", "", "R", "fraction of the blocks that are ferried, 0 to 1",
                 text(kDefaults.offload_ratio)},
                [](auto& o, auto& flag, auto& value) { o.offload_ratio = to_number(flag, value, 0, 1); }),
      make_flag(prefix, stages,
                {"prefetch_size", "", "N", "blocks copied ahead", text(kDefaults.prefetch_size)},
                [](auto& o, auto& flag, auto& value) {
                  o.prefetch_size = static_cast<int>(to_integer(flag, value, 1, INT32_MAX));
                }),
      make_flag(prefix, stages,
                {"pin_cpu_memory", "", "BOOL", "page-lock the host copy", text(kDefaults.pin_cpu_memory)},
                [](auto& o, auto& flag, auto& value) { o.pin_cpu_memory = to_bool(flag, value); }),
      make_flag(
          prefix, stages,
          {"lazy_gpu_cache", "", "BOOL", "take device memory at first use", text(kDefaults.lazy_gpu_cache)},
          [](auto& o, auto& flag, auto& value) { o.lazy_gpu_cache = to_bool(flag, value); }),
      make_flag(
          prefix, stages,
          {"transport", "", "NAME", words_text<offload::Transport>(), text(kDefaults.transport)},
          [](auto& o, auto& flag, auto& value) { o.transport = to_enum<offload::Transport>(flag, value); }),
      make_flag(
          prefix, stages,
          {"share", "", "R", "of a block, divided between ranks: 0 (full) to 1 (sharded), auto", "auto"},
          [](auto& o, auto& flag, auto& value) {
            o.share = value == "auto" ? std::nullopt : std::optional(to_number(flag, value, 0, 1));
          }),
      make_flag(
          prefix, stages,
          {"interleave", "", "NAME", "copies against exchanges: " + words_text<offload::Interleave>(),
           text(kDefaults.interleave)},
          [](auto& o, auto& flag, auto& value) { o.interleave = to_enum<offload::Interleave>(flag, value); }),
      make_flag(prefix, stages,
                {"link_gbps", "", "G", "cap of each rank's copies, 1e9 bytes/s; 0: none",
                 text(kDefaults.link_gbps)},
                [](auto& o, auto& flag, auto& value) { o.link_gbps = to_number(flag, value, 0, 1e6); })};
}

std::vector<Flag> sequential_keys(const std::string& prefix, const Stages& stages) {
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
  std::vector<Flag> keys = stage_keys(prefix, stages);
  for (Flag& flag : sequential_keys(prefix, stages)) keys.push_back(std::move(flag));
  return keys;
}

}  // namespace ferry::launcher
