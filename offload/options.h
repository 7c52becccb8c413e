// User options for weights ([offload], and per stage [dit] [vae] [text_encoder]), in the terms of
// docs/offloading.md.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/words.h"

namespace ferry::offload {

enum class StrategyKind : std::uint8_t { None, Model, Sequential, Async, Auto };
constexpr auto words_of(StrategyKind) {
  return std::to_array<std::string_view>({"none", "model", "sequential", "async", "auto"});
}

enum class Transport : std::uint8_t { Full, Sharded, Auto };
constexpr auto words_of(Transport) { return std::to_array<std::string_view>({"full", "sharded", "auto"}); }

enum class Interleave : std::uint8_t { Free, Gated, Auto };
constexpr auto words_of(Interleave) { return std::to_array<std::string_view>({"free", "gated", "auto"}); }

// The option value of an enumerator.
template <Worded Enum>
constexpr std::string_view name_of(Enum value) {
  return word_of(value);
}

struct Options {
  StrategyKind type = StrategyKind::None;
  double offload_ratio = 1.0;                   // fraction of the blocks that are ferried, 0..1
  int prefetch_size = 1;                        // blocks copied ahead
  bool pin_cpu_memory = true;                   // page-lock the node's copy
  bool lazy_gpu_cache = false;                  // allocate slots at first use
  std::optional<double> vram_limit{};           // GiB of accounted device bytes; unset: never promote
  std::optional<std::int64_t> max_num_param{};  // larger modules use the overflow configuration
  Transport transport = Transport::Auto;
  // Fraction of a block's bytes that ranks divide between them (stated_share.h); unset: by transport.
  std::optional<double> share{};
  Interleave interleave = Interleave::Auto;
  double link_gbps = 0;      // 1e9 bytes/s cap of arena -> slot copies; 0: none
  std::string module_map{};  // sequential: "linear,layernorm,..." ; empty: every module
  std::map<std::string, std::string> module_config{};  // the six dtype/device keys
  std::map<std::string, std::string> overflow_module_config{};
  // Keys given for all stages at once; fit.h adapts them to a network.
  std::set<std::string> shared{};
};

}  // namespace ferry::offload
