// What the user says about ranks ([parallel]).
#pragma once

#include <cstdint>

namespace ferry::parallel {

// How the two guidance branches run: one after the other; both through each block while its weights are
// there; or on two halves of the ranks.  Auto is decided before there is a mesh (choose_cfg.h).
enum class CfgMode : std::uint8_t { Auto, Serial, Paired, Parallel };

// How activations and shards of weights go from GPU to GPU on one node: by kernels of NCCL (on the CPU by
// MPI) or by copies of the copy engines (copy_group.h).  Auto: copies on GPUs where they work.  Same bits.
enum class ExchangeBy : std::uint8_t { Auto, Nccl, Copy };

struct Options {
  int ulysses = 0;              // sequence-parallel degree; 0: all ranks left after cfg and data
  CfgMode cfg = CfgMode::Auto;  // Parallel needs an even number of ranks
  bool split_vae = true;        // all ranks of a video decode, each its rows of every frame
  int data = 1;                 // independent videos at a time; 0: what is left of the ranks
  ExchangeBy exchange = ExchangeBy::Auto;
};

}  // namespace ferry::parallel
