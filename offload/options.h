// What the user says about weights ([offload], and per stage [dit] [vae] [text_encoder]); the words are
// those of docs/offloading.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace ferry::offload {

enum class Type : std::uint8_t { None, Model, Sequential, Async, Auto };
enum class Transport : std::uint8_t { Full, Sharded, Auto };
enum class Interleave : std::uint8_t { Free, Gated, Auto };

// The words the user types.
std::string_view name_of(Type type);
std::string_view name_of(Transport transport);
std::string_view name_of(Interleave interleave);

struct Options {
  Type type = Type::None;
  double offload_ratio = 1.0;                   // share of the blocks that are ferried, 0..1
  int prefetch_size = 1;                        // blocks copied ahead
  bool pin_cpu_memory = true;                   // page-lock the node's copy
  bool lazy_gpu_cache = false;                  // take slot memory at first use
  std::optional<double> vram_limit{};           // GiB of accounted device bytes; unset: never promote
  std::optional<std::int64_t> max_num_param{};  // larger modules use the overflow configuration
  Transport transport = Transport::Auto;
  // Of what a block needs: the part that ranks divide between them (stated_share.h); unset: by transport.
  std::optional<double> share{};
  Interleave interleave = Interleave::Auto;
  double link_gbps = 0;      // 1e9 bytes/s cap of arena -> slot copies; 0: none
  std::string module_map{};  // sequential: "linear,layernorm,..." ; empty: every module
  std::map<std::string, std::string> module_config{};  // the six dtype/device keys
  std::map<std::string, std::string> overflow_module_config{};
  // Keys that were given for all stages at once: fit.h makes them suit a network.
  std::set<std::string> shared{};
};

}  // namespace ferry::offload
