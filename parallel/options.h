// User options for ranks ([parallel]).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/words.h"

namespace ferry::parallel {

// How the two guidance branches run: one after the other; both through each block while its weights are on
// the device; or on two halves of the ranks.  Auto is resolved before the mesh is made (choose_cfg.h).
enum class CfgMode : std::uint8_t { Auto, Serial, Paired, Parallel };
constexpr auto words_of(CfgMode) {
  return std::to_array<std::string_view>({"auto", "serial", "paired", "parallel"});
}

// How activations and shards of weights go between GPUs of one node: by NCCL kernels (on the CPU by MPI) or
// by the copy engines (copy_group.h).  Auto: copies on GPUs if they work.  The bits are the same.
enum class ExchangeBy : std::uint8_t { Auto, Nccl, Copy };
constexpr auto words_of(ExchangeBy) { return std::to_array<std::string_view>({"auto", "nccl", "copy"}); }

struct Options {
  int ulysses = 0;              // sequence-parallel degree; 0: all ranks left after cfg and data
  CfgMode cfg = CfgMode::Auto;  // Parallel needs an even number of ranks
  bool split_vae = true;        // all ranks of a video decode, each its own rows of every frame
  int data = 1;                 // independent videos at a time; 0: all ranks left over
  ExchangeBy exchange = ExchangeBy::Auto;
};

}  // namespace ferry::parallel
