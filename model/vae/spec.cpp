#include "model/vae/spec.h"

#include <stdexcept>
#include <string>

#include "model/vae/units.h"

namespace ferry::model {

namespace {

using vae::Unit;
using vae::UnitKind;

ModuleSpec norm(const std::string& name, std::vector<std::int64_t> shape) {
  return {.name = name, .kind = ModuleKind::RmsNorm, .tensors = {{name + ".gamma", std::move(shape)}}};
}

ModuleSpec conv(const std::string& name, std::vector<std::int64_t> shape, DType dtype) {
  const std::int64_t out = shape.front();
  return {.name = name,
          .kind = ModuleKind::Conv,
          .tensors = {{name + ".weight", std::move(shape), dtype, Layout::ChannelsLast},
                      {name + ".bias", {out}, dtype}}};
}

std::vector<ModuleSpec> residual(const Unit& unit, DType dtype) {
  std::vector<ModuleSpec> modules = {
      norm(unit.name + ".residual.0", {unit.in, 1, 1, 1}),
      conv(unit.name + ".residual.2", {unit.out, unit.in, 3, 3, 3}, dtype),
      norm(unit.name + ".residual.3", {unit.out, 1, 1, 1}),
      conv(unit.name + ".residual.6", {unit.out, unit.out, 3, 3, 3}, dtype),
  };
  if (unit.in != unit.out) {
    modules.push_back(conv(unit.name + ".shortcut", {unit.out, unit.in, 1, 1, 1}, dtype));
  }
  return modules;
}

std::vector<ModuleSpec> modules_of(const Unit& unit, DType dtype) {
  switch (unit.kind) {
    case UnitKind::Residual:
      return residual(unit, dtype);
    case UnitKind::Attention:
      return {norm(unit.name + ".norm", {unit.in, 1, 1}),
              conv(unit.name + ".to_qkv", {3 * unit.in, unit.in, 1, 1}, dtype),
              conv(unit.name + ".proj", {unit.in, unit.in, 1, 1}, dtype)};
    case UnitKind::UpSpace:
      return {conv(unit.name + ".resample.1", {unit.out, unit.in, 3, 3}, dtype)};
    case UnitKind::UpSpaceTime:
      return {conv(unit.name + ".resample.1", {unit.out, unit.in, 3, 3}, dtype),
              conv(unit.name + ".time_conv", {2 * unit.in, unit.in, 3, 1, 1}, dtype)};
  }
  throw std::invalid_argument("VAE: unknown unit");
}

}  // namespace

NetworkSpec vae_decoder_spec(const VaeConfig& config, DType compute) {
  if (compute != DType::F32 && compute != DType::BF16) {
    throw std::invalid_argument("VAE: compute dtype " + std::string(name_of(compute)) + ", not fp32 or bf16");
  }
  const std::vector<Unit> units = vae::decoder_units(config);
  NetworkSpec spec;
  spec.name = "vae";
  spec.compute = compute;
  spec.head = {conv("conv2", {config.z_dim, config.z_dim, 1, 1, 1}, DType::F32),
               conv("decoder.conv1", {units.front().in, config.z_dim, 3, 3, 3}, compute)};
  for (const Unit& unit : units) spec.blocks.push_back({unit.name, modules_of(unit, compute)});
  const std::int64_t width = units.back().out;
  spec.tail = {norm("decoder.head.0", {width, 1, 1, 1}),
               conv("decoder.head.2", {3, width, 3, 3, 3}, DType::F32)};
  return spec;
}

std::int64_t spatial_scale(const VaeConfig& config) { return std::int64_t{1} << config.temporal_down.size(); }

std::int64_t temporal_scale(const VaeConfig& config) {
  std::int64_t scale = 1;
  for (const bool down : config.temporal_down) scale *= down ? 2 : 1;
  return scale;
}

}  // namespace ferry::model
