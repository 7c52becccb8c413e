// The decoder's units, from its configuration: the list shared by spec and forward.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/vae/config.h"

namespace ferry::model::vae {

enum class UnitKind : std::uint8_t {
  Residual,     // norm, SiLU, 3x3x3, norm, SiLU, 3x3x3, plus the input (through 1x1x1 if widths differ)
  Attention,    // one head over the pixels of each frame
  UpSpace,      // nearest x2, 3x3
  UpSpaceTime,  // (3,1,1) convolution to twice as many frames, then as UpSpace
};

struct Unit {
  UnitKind kind = UnitKind::Residual;
  std::string name;     // "decoder.upsamples.4"
  std::int64_t in = 0;  // channels
  std::int64_t out = 0;
};

// decoder.middle.0 .. 2, then decoder.upsamples.0 .. n.
// Throws std::invalid_argument for an invalid configuration.
std::vector<Unit> decoder_units(const VaeConfig& config);

}  // namespace ferry::model::vae
