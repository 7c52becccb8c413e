#include "model/vae/units.h"

#include <stdexcept>

namespace ferry::model::vae {

namespace {

void check(const VaeConfig& config) {
  const auto stages = config.dim_mult.size();
  if (stages == 0 || config.temporal_down.size() + 1 != stages) {
    throw std::invalid_argument("VAE: " + std::to_string(stages) +
                                " multipliers need one temporal_down less, not " +
                                std::to_string(config.temporal_down.size()));
  }
  if (config.z_dim < 1 || config.res_blocks < 0) {
    throw std::invalid_argument("VAE: z_dim " + std::to_string(config.z_dim) + " or res_blocks " +
                                std::to_string(config.res_blocks) + " out of range");
  }
  for (std::size_t i = 0; i < stages; ++i) {
    const std::int64_t width = config.base_dim * config.dim_mult[i];
    if (width < 1 || (i > 0 && width % 2 != 0)) {
      throw std::invalid_argument("VAE: stage width " + std::to_string(width) +
                                  " is not a positive even number");
    }
  }
}

}  // namespace

std::vector<Unit> decoder_units(const VaeConfig& config) {
  check(config);
  const auto stages = config.dim_mult.size();
  std::int64_t width = config.base_dim * config.dim_mult.back();
  std::vector<Unit> units = {{UnitKind::Residual, "decoder.middle.0", width, width},
                             {UnitKind::Attention, "decoder.middle.1", width, width},
                             {UnitKind::Residual, "decoder.middle.2", width, width}};
  int index = 0;
  const auto add = [&](UnitKind kind, std::int64_t out) {
    units.push_back({kind, "decoder.upsamples." + std::to_string(index++), width, out});
    width = out;
  };
  for (std::size_t i = stages; i-- > 0;) {
    const std::int64_t stage_width = config.base_dim * config.dim_mult[i];
    for (std::int64_t block = 0; block <= config.res_blocks; ++block) add(UnitKind::Residual, stage_width);
    if (i > 0) {
      add(config.temporal_down[i - 1] ? UnitKind::UpSpaceTime : UnitKind::UpSpace, stage_width / 2);
    }
  }
  return units;
}

}  // namespace ferry::model::vae
