#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <stdexcept>

#include "base/error.h"
#include "base/float_type.h"
#include "base/text/describe.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/quantization/weight_scale.h"

namespace ferry::checkpoint {

namespace {

constexpr std::int64_t kGathered = 1024;  // elements gathered before conversion
constexpr std::size_t kWidest = 8;

// One dimension of the source, in elements.
struct Axis {
  std::int64_t extent = 1;
  std::int64_t stride = 0;
};

struct Place {
  std::byte* data = nullptr;
  DType dtype = DType::F32;
};

struct Source {
  const std::byte* data = nullptr;
  DType dtype = DType::F32;
};

void check_entry(const TensorEntry& entry, const model::TensorSpec& spec) {
  if (entry.shape != spec.shape) {
    throw UserError(fmt::format("{}: tensor {} has shape {}, expected {}", entry.file,
                                printable(entry.source_key), shape_text(entry.shape),
                                shape_text(spec.shape)));
  }
  const bool floating = is_unscaled_float(entry.dtype) || entry.dtype == DType::F8E4M3;
  if (!floating && entry.dtype != spec.dtype && entry.scale == nullptr) {
    throw UserError(fmt::format("{}: tensor {} is {}, expected a floating-point type", entry.file,
                                printable(entry.source_key), name_of(entry.dtype)));
  }
}

// The source's dimensions in the destination's order, slowest first.
std::vector<Axis> walk_order(const TensorEntry& entry, model::Layout layout) {
  std::vector<std::size_t> order;
  switch (layout) {
    case model::Layout::Contiguous:
      for (std::size_t i = 0; i < entry.shape.size(); ++i) order.push_back(i);
      break;
    case model::Layout::ChannelsLast:  // O, spatial ..., I
      order = {0};
      for (std::size_t i = 2; i < entry.shape.size(); ++i) order.push_back(i);
      order.push_back(1);
      break;
  }
  std::vector<Axis> axes;
  for (const std::size_t i : order) axes.push_back({entry.shape[i], entry.strides[i]});
  return axes;
}

// Merges adjacent axes where possible; a contiguous tensor becomes one axis.
std::vector<Axis> joined(const std::vector<Axis>& axes) {
  std::vector<Axis> result;
  for (const Axis& axis : axes) {
    if (axis.extent == 1) continue;
    if (!result.empty() && result.back().stride == axis.stride * axis.extent) {
      result.back() = {result.back().extent * axis.extent, axis.stride};
    } else {
      result.push_back(axis);
    }
  }
  if (result.empty()) result.push_back({1, 1});
  return result;
}

template <std::size_t kBytes>
void gather(std::byte* to, const std::byte* from, Axis axis) {
  const std::int64_t step = axis.stride * static_cast<std::int64_t>(kBytes);
  for (std::int64_t i = 0; i < axis.extent; ++i) {
    std::memcpy(to + static_cast<std::size_t>(i) * kBytes, from + i * step, kBytes);
  }
}

void gather(std::byte* to, const std::byte* from, Axis axis, std::size_t element) {
  switch (element) {
    case 1:
      return gather<1>(to, from, axis);
    case 2:
      return gather<2>(to, from, axis);
    case 4:
      return gather<4>(to, from, axis);
    default:
      return gather<8>(to, from, axis);
  }
}

// As convert(), plus int8 to fp32 for weights with scales.
void convert_numbers(std::byte* to, DType to_type, const std::byte* from, DType from_type,
                     std::int64_t count) {
  if (from_type != DType::I8 || to_type != DType::F32)
    return convert(to, to_type, from, from_type, static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>(static_cast<std::int8_t>(from[i]));
    std::memcpy(to + i * static_cast<std::int64_t>(sizeof value), &value, sizeof value);
  }
}

// Converts along the fastest axis: one contiguous run of the destination.
void convert_run(const Place& to, const Source& from, Axis axis) {
  if (axis.stride == 1) {
    convert_numbers(to.data, to.dtype, from.data, from.dtype, axis.extent);
    return;
  }
  std::array<std::byte, kGathered * kWidest> buffer;
  const auto element = static_cast<std::int64_t>(size_of(from.dtype));
  const auto place = static_cast<std::int64_t>(size_of(to.dtype));
  for (std::int64_t begin = 0; begin < axis.extent; begin += kGathered) {
    const std::int64_t count = std::min(kGathered, axis.extent - begin);
    gather(buffer.data(), from.data + begin * axis.stride * element, {count, axis.stride},
           static_cast<std::size_t>(element));
    convert_numbers(to.data + begin * place, to.dtype, buffer.data(), from.dtype, count);
  }
}

// Converts all axes, advancing `to`; returns the end of the written range.
std::byte* convert_axes(Place to, Source from, std::span<const Axis> axes) {
  if (axes.size() == 1) {
    convert_run(to, from, axes[0]);
    return to.data + axes[0].extent * static_cast<std::int64_t>(size_of(to.dtype));
  }
  const std::int64_t step = axes[0].stride * static_cast<std::int64_t>(size_of(from.dtype));
  for (std::int64_t i = 0; i < axes[0].extent; ++i) {
    to.data = convert_axes(to, {from.data + i * step, from.dtype}, axes.subspan(1));
  }
  return to.data;
}

// Converts rows without scaling.
void convert_rows(const TensorEntry& entry, const model::TensorSpec& spec, std::byte* dst) {
  std::vector<Axis> axes = entry.shape.empty() ? std::vector<Axis>{{1, 1}} : walk_order(entry, spec.layout);
  convert_axes({dst, spec.dtype}, {entry.data, entry.dtype}, joined(axes));
}

// As above, multiplied by the scale: in fp32, a few rows at a time, then rounded.
void dequantize_rows(const TensorEntry& entry, const model::TensorSpec& spec, std::byte* dst) {
  constexpr std::int64_t kAtOnce = 16384;
  const std::int64_t rows = entry.shape.empty() ? 1 : entry.shape[0];
  const std::int64_t columns = entry.numel() / rows;
  const std::int64_t step = std::max<std::int64_t>(1, kAtOnce / columns);
  model::TensorSpec wide = spec;
  wide.dtype = DType::F32;
  std::vector<float> values(static_cast<std::size_t>(std::min(step, rows) * columns));
  for (std::int64_t row = 0; row < rows; row += step) {
    const std::int64_t end = std::min(rows, row + step);
    const TensorEntry part = entry.shape.empty() ? entry : entry.rows(row, end);
    convert_rows(part, wide, reinterpret_cast<std::byte*>(values.data()));
    multiply(*entry.scale, part.first_row, end - row, columns, values.data());
    const std::int64_t count = (end - row) * columns;
    convert(dst, spec.dtype, values.data(), DType::F32, static_cast<std::size_t>(count));
    dst += count * static_cast<std::int64_t>(size_of(spec.dtype));
  }
}

}  // namespace

void read_tensor(const TensorEntry& entry, const model::TensorSpec& spec, std::byte* dst) {
  read_tensor_rows(entry, spec, dst, 0, entry.shape.empty() ? 1 : entry.shape[0]);
}

void read_tensor_rows(const TensorEntry& entry, const model::TensorSpec& spec, std::byte* dst,
                      std::int64_t row_begin, std::int64_t row_end) {
  check_entry(entry, spec);
  const std::size_t bytes = memory_format(spec).bytes;
  const std::int64_t rows = entry.shape.empty() ? 1 : entry.shape[0];
  if (row_begin < 0 || row_begin > row_end || row_end > rows) {
    throw std::invalid_argument(
        fmt::format("{}: rows [{}, {}) of a tensor with {}", spec.key, row_begin, row_end, rows));
  }
  if (row_begin == row_end || bytes == 0) return;
  std::byte* place = dst + row_begin * (static_cast<std::int64_t>(bytes) / rows);
  const TensorEntry part = entry.shape.empty() ? entry : entry.rows(row_begin, row_end);
  (entry.scale == nullptr ? convert_rows : dequantize_rows)(part, spec, place);
}

}  // namespace ferry::checkpoint
