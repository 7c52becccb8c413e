#include "checkpoint/formats/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/other_kind.h"
#include "base/text/describe.h"
#include "checkpoint/formats/json_text.h"
#include "checkpoint/formats/stored_number.h"

namespace ferry::checkpoint {

namespace {

using nlohmann::json;

constexpr std::uint64_t kLongestHeader = 100'000'000;
constexpr std::size_t kHighestRank = 16;
constexpr const char* kMetadata = "__metadata__";

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw UserError(fmt::format("{}: {}", path, why));
}

[[noreturn]] void refuse(const std::string& path, const std::string& tensor, const std::string& why) {
  refuse(path, fmt::format("tensor {}: {}", printable(tensor), why));
}

std::string_view header_text(std::span<const std::byte> file, const std::string& path) {
  // In every safetensors file the ninth byte opens the JSON.
  if (file.size() < 9 || file[8] != std::byte{'{'}) refuse_other_kind(file, path, "a safetensors file");
  if (file.size() < 8) refuse(path, fmt::format("{} bytes are no safetensors file", file.size()));
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, file.data(), sizeof bytes);
  if (bytes > kLongestHeader) {
    refuse(path, fmt::format("no safetensors file: its header would have {} bytes (at most 100 MB)", bytes));
  }
  if (bytes > file.size() - 8) {
    refuse(path, fmt::format("truncated: the header has {} bytes, the file {}", bytes, file.size()));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, bytes);
  if (text.empty() || text[0] != '{') refuse(path, "no safetensors file: its header does not begin with {");
  return text;
}

std::map<std::string, std::string> read_metadata(const json& value, const std::string& path) {
  if (value.is_null()) return {};  // as in the reference library
  if (!value.is_object()) refuse(path, "__metadata__ is no JSON object");
  std::map<std::string, std::string> metadata;
  for (const auto& [name, text] : value.items()) {
    if (!text.is_string()) refuse(path, fmt::format("__metadata__: {} is no text", printable(name)));
    metadata[name] = text.get<std::string>();
  }
  return metadata;
}

struct AlphaType {
  std::string_view name;
  std::size_t bytes;
  double (*read)(const std::byte* data);
};

// e5m2 is fp16 without the low 8 bits of its fraction.
double stored_e5m2(const std::byte* data) {
  const auto half = static_cast<std::uint16_t>(std::to_integer<unsigned>(*data) << 8U);
  double number = 0;
  convert(&number, DType::F64, &half, DType::F16, 1);
  return number;
}

constexpr auto kAlphaTypes = std::to_array<AlphaType>({{"U16", 2, stored_number<std::uint16_t>},
                                                       {"U32", 4, stored_number<std::uint32_t>},
                                                       {"U64", 8, stored_number<std::uint64_t>},
                                                       {"F8_E5M2", 1, stored_e5m2}});

// The tensor's type if it is an alpha with a type supported only for alphas; else nullptr.
const AlphaType* alpha_type(const json& dtype, const std::string& tensor, std::int64_t numel) {
  if (!tensor.ends_with(".alpha") || numel != 1) return nullptr;
  const auto* found = std::find_if(kAlphaTypes.begin(), kAlphaTypes.end(),
                                   [&](const AlphaType& type) { return dtype == type.name; });
  return found == kAlphaTypes.end() ? nullptr : found;
}

// Describes unsupported types of 4 or 8 bits.
std::string_view narrow_type(const std::string& name) {
  if (name.starts_with("F8_E5M2")) return ": fp8 with 2 bits of fraction (e5m2), with fp8 scales or without";
  if (name.starts_with("F8_E8M0")) return ": fp8 scales that are powers of two, as mxfp8 has them";
  if (name.starts_with("F4")) return ": weights of 4 bits, as nvfp4 has them";
  return "";
}

DType read_dtype(const json& value, const std::string& path, const std::string& tensor) {
  if (!value.is_string()) refuse(path, tensor, "dtype is no text");
  const std::string name = value.get<std::string>();
  // Ferry's own names ("fp32") are not valid in the format.
  const bool upper = !name.empty() && name[0] >= 'A' && name[0] <= 'Z';
  try {
    if (upper) return dtype_from_name(name);
  } catch (const std::invalid_argument&) {  // refused below, as a name in small letters is
  }
  refuse(
      path, tensor,
      fmt::format("dtype {} is not supported{} (F64, F32, F16, BF16, F8_E4M3, I64, I32, I16, I8, U8, BOOL)",
                  printable(name), narrow_type(name)));
}

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

struct Placed {
  TensorEntry entry;
  Range range;
  const AlphaType* alpha = nullptr;  // its type if only alphas may have it, else nullptr
};

std::vector<std::int64_t> read_list(const json& tensor, const char* member, const std::string& path,
                                    const std::string& name) {
  std::vector<std::int64_t> list;
  if (!read_extents(tensor.at(member), list)) {
    refuse(path, name, fmt::format("{} is no list of integers from 0 to 2^63", member));
  }
  return list;
}

Range read_range(const json& tensor, std::size_t data_bytes, const std::string& path,
                 const std::string& name) {
  const std::vector<std::int64_t> offsets = read_list(tensor, "data_offsets", path, name);
  if (offsets.size() != 2) refuse(path, name, "data_offsets are not two numbers");
  const Range range = {offsets[0], offsets[1]};
  if (range.begin > range.end) {
    refuse(path, name, fmt::format("data_offsets [{}, {}] run backwards", range.begin, range.end));
  }
  if (static_cast<std::uint64_t>(range.end) > data_bytes) {
    refuse(
        path, name,
        fmt::format("its data ends at byte {} of {}: the file is truncated, or lies", range.end, data_bytes));
  }
  return range;
}

// Row-major strides as in PyTorch: an extent of 0 counts as 1.
std::vector<std::int64_t> strides_of(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * std::max<std::int64_t>(shape[i], 1);
  return strides;
}

void check_members(const json& tensor, const std::string& path, const std::string& name) {
  if (!tensor.is_object()) refuse(path, name, "its description is no JSON object");
  for (const char* member : {"dtype", "shape", "data_offsets"}) {
    if (!tensor.contains(member)) refuse(path, name, fmt::format("no {} in its description", member));
  }
  if (tensor.size() != 3)
    refuse(path, name, "its description has other members than dtype, shape, data_offsets");
}

Placed read_entry(const std::string& name, const json& tensor, std::size_t data_bytes,
                  const std::string& path) {
  check_members(tensor, path, name);
  Placed placed;
  placed.entry.key = name;
  placed.entry.source_key = name;
  placed.entry.file = path;
  placed.entry.shape = read_list(tensor, "shape", path, name);
  if (placed.entry.shape.size() > kHighestRank) refuse(path, name, "more than 16 dimensions");
  const auto numel = checked_numel(placed.entry.shape);
  if (!numel) refuse(path, name, fmt::format("shape {} is too large", shape_text(placed.entry.shape)));
  placed.alpha = alpha_type(tensor.at("dtype"), name, *numel);
  placed.entry.dtype = placed.alpha != nullptr ? DType::F64 : read_dtype(tensor.at("dtype"), path, name);
  placed.entry.strides = strides_of(placed.entry.shape);
  placed.range = read_range(tensor, data_bytes, path, name);
  const std::size_t width = placed.alpha != nullptr ? placed.alpha->bytes : size_of(placed.entry.dtype);
  const std::int64_t bytes = *numel * static_cast<std::int64_t>(width);
  if (bytes != placed.range.end - placed.range.begin) {
    refuse(path, name,
           fmt::format("shape {} of {} needs {} bytes, data_offsets give {}", shape_text(placed.entry.shape),
                       placed.alpha != nullptr ? placed.alpha->name : name_of(placed.entry.dtype), bytes,
                       placed.range.end - placed.range.begin));
  }
  return placed;
}

// Checks that the tensors cover the data exactly.
void check_cover(const std::vector<Placed>& tensors, std::size_t data_bytes, const std::string& path) {
  std::int64_t end = 0;
  for (const Placed& tensor : tensors) {
    if (tensor.range.begin < end) refuse(path, tensor.entry.source_key, "its data overlaps another tensor's");
    if (tensor.range.begin > end) {
      refuse(path, tensor.entry.source_key,
             fmt::format("a gap of {} bytes before its data", tensor.range.begin - end));
    }
    end = tensor.range.end;
  }
  if (static_cast<std::uint64_t>(end) != data_bytes) {
    refuse(path, fmt::format("{} bytes after the last tensor", data_bytes - static_cast<std::uint64_t>(end)));
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& path) {
  const std::string_view text = header_text(file, path);
  const std::span<const std::byte> data = file.subspan(8 + text.size());
  const json root = parse_json(text, path);
  SafetensorsHeader header;
  std::vector<Placed> tensors;
  for (const auto& [name, value] : root.items()) {
    if (name == kMetadata) {
      header.metadata = read_metadata(value, path);
    } else {
      tensors.push_back(read_entry(name, value, data.size(), path));
    }
  }
  std::sort(tensors.begin(), tensors.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.range.begin, a.range.end) < std::pair(b.range.begin, b.range.end);
  });
  check_cover(tensors, data.size(), path);
  for (Placed& tensor : tensors) {
    tensor.entry.data = data.data() + tensor.range.begin;
    if (tensor.alpha != nullptr) {
      header.widened.push_back(tensor.alpha->read(tensor.entry.data));
      tensor.entry.data = reinterpret_cast<const std::byte*>(&header.widened.back());
    }
    header.entries.push_back(std::move(tensor.entry));
  }
  return header;
}

}  // namespace ferry::checkpoint
