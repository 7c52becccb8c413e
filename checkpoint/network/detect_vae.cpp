#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/network/config_members.h"

namespace ferry::checkpoint {

namespace {

constexpr std::int64_t kMostUnits = 128;

std::string unit(std::int64_t index, const char* leaf) {
  return fmt::format("decoder.upsamples.{}.{}", index, leaf);
}

// The decoder's stages, in order.
struct Stages {
  std::int64_t resnets = 0;
  std::vector<std::int64_t> widths;
  std::vector<bool> temporal_up;  // per up-sampler
};

// A stage is `resnets` residual blocks, then an up-sampler unless it is the last.
Stages read_stages(const Checkpoint& checkpoint) {
  const std::int64_t units = count_after(checkpoint, "decoder.upsamples.");
  if (units == 0 || units > kMostUnits) {
    throw UserError(fmt::format("{}: the VAE decoder has {} units in decoder.upsamples",
                                checkpoint.files().front(), units));
  }
  Stages stages;
  std::int64_t resnets = 0;
  for (std::int64_t i = 0; i < units; ++i) {
    if (checkpoint.find(unit(i, "resample.1.weight")) == nullptr) {
      ++resnets;
      continue;
    }
    if (stages.resnets == 0) stages.resnets = resnets;
    resnets = 0;
    stages.temporal_up.push_back(checkpoint.find(unit(i, "time_conv.weight")) != nullptr);
  }
  if (stages.resnets == 0) stages.resnets = resnets;
  const auto count = static_cast<std::int64_t>(stages.temporal_up.size()) + 1;
  for (std::int64_t stage = 0; stage < count; ++stage) {
    const std::int64_t last = stage * (stages.resnets + 1) + stages.resnets - 1;
    stages.widths.push_back(needed(checkpoint, unit(last, "residual.6.weight"), 5).shape[0]);
  }
  return stages;
}

void refuse_later_models(const Checkpoint& checkpoint, std::int64_t z, const ConfigFile& config) {
  // Wan2.2 nests its stages: decoder.upsamples.0.upsamples.0.
  const bool nested =
      std::any_of(checkpoint.entries().begin(), checkpoint.entries().end(), [](const auto& entry) {
        return entry.source_key.find(".upsamples.0.upsamples.") != std::string::npos;
      });
  if (z == 48 || nested || config.flag("is_residual").value_or(false)) {
    throw UserError(fmt::format("{}: the Wan2.2 VAE is not supported yet; Wan2.1's is expected",
                                checkpoint.files().front()));
  }
}

void check_config(const ConfigFile& config, const model::VaeConfig& found) {
  config.check("base_dim", found.base_dim);
  config.check("z_dim", found.z_dim);
  config.check("num_res_blocks", found.res_blocks);
  config.check("decoder_base_dim", found.base_dim);
  check_members(config, Part::Vae);
  constexpr std::int64_t kMostHalvings = 30;
  const auto spatial = static_cast<std::int64_t>(found.temporal_down.size());
  const std::int64_t temporal = std::count(found.temporal_down.begin(), found.temporal_down.end(), true);
  config.check("scale_factor_spatial", std::int64_t{1} << std::min(spatial, kMostHalvings));
  config.check("scale_factor_temporal", std::int64_t{1} << std::min(temporal, kMostHalvings));
  if (config.integers("dim_mult").value_or(found.dim_mult) != found.dim_mult) {
    config.refuse("dim_mult", fmt::format("but the tensors say {}", shape_text(found.dim_mult)));
  }
  if (config.flags("temperal_downsample").value_or(found.temporal_down) != found.temporal_down) {
    config.refuse("temperal_downsample", "but the tensors say otherwise");
  }
}

std::vector<double> statistics(const ConfigFile& config, const char* name, const std::vector<double>& wan,
                               const model::VaeConfig& found, const std::string& file) {
  const auto given = config.numbers(name);
  const auto count = static_cast<std::size_t>(found.z_dim);
  if (given && given->size() != count) config.refuse(name, fmt::format("expected {} numbers", count));
  if (!given && wan.size() != count) {
    throw UserError(
        fmt::format("{}: a VAE with {} latent channels needs a config.json with {}", file, count, name));
  }
  return given.value_or(wan);
}

// They are used in fp32, and 1 / deviation too.
void check_statistics(const ConfigFile& config, const model::VaeConfig& found) {
  constexpr double kLeast = std::numeric_limits<float>::min();
  constexpr double kMost = std::numeric_limits<float>::max();
  for (const double mean : found.latents_mean) {
    if (!(std::abs(mean) <= kMost)) config.refuse("latents_mean", "expected numbers that fp32 holds");
  }
  for (const double deviation : found.latents_std) {
    if (!(deviation > 0)) config.refuse("latents_std", "expected numbers above 0");
    if (!(deviation >= kLeast && deviation <= kMost))
      config.refuse("latents_std", "expected numbers that fp32 holds, and their inverses");
  }
}

}  // namespace

model::VaeConfig vae_config(const Checkpoint& checkpoint) {
  const ConfigFile config(checkpoint.config_file());
  const std::string& file = checkpoint.files().front();
  check_class(config, Part::Vae);
  model::VaeConfig found;
  found.z_dim = needed(checkpoint, "decoder.conv1.weight", 5).shape[1];
  refuse_later_models(checkpoint, found.z_dim, config);
  found.base_dim = needed(checkpoint, "decoder.head.2.weight", 5).shape[1];
  const Stages stages = read_stages(checkpoint);
  found.res_blocks = stages.resnets - 1;
  found.temporal_down.assign(stages.temporal_up.rbegin(), stages.temporal_up.rend());
  found.dim_mult.clear();
  for (auto width = stages.widths.rbegin(); width != stages.widths.rend(); ++width) {
    if (*width % found.base_dim != 0) {
      throw UserError(fmt::format("{}: a VAE stage of width {} is no multiple of the base {}", file, *width,
                                  found.base_dim));
    }
    found.dim_mult.push_back(*width / found.base_dim);
  }
  if (found.res_blocks < 1)
    throw UserError(fmt::format("{}: the VAE decoder has too few residual blocks", file));
  check_config(config, found);
  found.latents_mean = statistics(config, "latents_mean", model::wan21_latents_mean(), found, file);
  found.latents_std = statistics(config, "latents_std", model::wan21_latents_std(), found, file);
  check_statistics(config, found);
  return found;
}

}  // namespace ferry::checkpoint
