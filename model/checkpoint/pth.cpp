#include "model/checkpoint/pth.h"

#include <fmt/format.h>

#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "model/checkpoint/describe.h"
#include "model/checkpoint/pickle.h"
#include "model/checkpoint/zip.h"

namespace ferry::model {

namespace {

constexpr std::string_view kPickle = "/data.pkl";

struct Archive {
  std::unordered_map<std::string, std::span<const std::byte>> members;
  std::string prefix;  // of every member, without the slash
};

Archive open_archive(std::span<const std::byte> file, const std::string& path) {
  Archive archive;
  for (ZipMember& member : read_zip(file, path)) {
    if (member.name.size() > kPickle.size() && member.name.ends_with(kPickle) && archive.prefix.empty()) {
      archive.prefix = member.name.substr(0, member.name.size() - kPickle.size());
    }
    archive.members.emplace(std::move(member.name), member.data);
  }
  if (archive.prefix.empty()) throw UserError(path + ": no .pth archive: it has no data.pkl");
  const auto order = archive.members.find(archive.prefix + "/byteorder");
  if (order != archive.members.end()) {
    const std::string_view text(reinterpret_cast<const char*>(order->second.data()), order->second.size());
    if (text != "little")
      throw UserError(fmt::format("{}: byte order \"{}\"; only little is read", path, printable(text)));
  }
  return archive;
}

// Elements between the first and the last that a view touches, plus 1; nothing when that overflows.
std::optional<std::int64_t> extent_of(const PickledTensor& tensor) {
  std::int64_t extent = 1;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    std::int64_t reach = 0;
    if (tensor.shape[i] == 0) return 0;
    if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &reach)) return {};
    if (__builtin_add_overflow(extent, reach, &extent)) return {};
  }
  return extent;
}

TensorEntry place(const std::string& key, const PickledTensor& tensor, const Archive& archive,
                  const std::string& path) {
  const auto refuse = [&](const std::string& why) {
    throw UserError(fmt::format("{}: tensor {}: {}", path, printable(key), why));
  };
  const auto storage = archive.members.find(archive.prefix + "/data/" + tensor.storage);
  if (storage == archive.members.end()) {
    refuse(fmt::format("its storage {} is not in the archive", printable(tensor.storage)));
  }
  const auto held = static_cast<std::int64_t>(storage->second.size() / size_of(tensor.dtype));
  if (tensor.storage_numel > held) {
    refuse(fmt::format("its storage {} should have {} elements and has {}", printable(tensor.storage),
                       tensor.storage_numel, held));
  }
  const auto extent = extent_of(tensor);
  if (!checked_numel(tensor.shape) || !extent) refuse("shape " + shape_text(tensor.shape) + " is too large");
  if (tensor.offset > tensor.storage_numel || *extent > tensor.storage_numel - tensor.offset) {
    refuse(fmt::format("shape {} with strides {} from element {} goes beyond the {} elements of its storage",
                       shape_text(tensor.shape), shape_text(tensor.strides), tensor.offset,
                       tensor.storage_numel));
  }
  return {.key = key,
          .source_key = key,
          .file = path,
          .dtype = tensor.dtype,
          .shape = tensor.shape,
          .strides = tensor.strides,
          .data = storage->second.data() + static_cast<std::size_t>(tensor.offset) * size_of(tensor.dtype)};
}

}  // namespace

PthFile open_pth(const std::string& path) {
  auto mapping = std::make_shared<const MappedFile>(path);
  const Archive archive = open_archive(mapping->span(), path);
  PthFile file;
  for (const auto& [key, tensor] :
       read_pickle(archive.members.at(archive.prefix + std::string(kPickle)), path)) {
    file.entries.push_back(place(key, tensor, archive, path));
  }
  if (file.entries.empty()) throw UserError(path + ": its state dict holds no tensors");
  file.mapping = std::move(mapping);
  return file;
}

}  // namespace ferry::model
