#include "checkpoint/formats/pth.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/files/file.h"
#include "base/files/other_kind.h"
#include "base/text/describe.h"
#include "checkpoint/formats/zip.h"
#include "checkpoint/pickle/pickle.h"

namespace ferry::checkpoint {

namespace {

constexpr std::string_view kPickle = "/data.pkl";

struct Archive {
  std::unordered_map<std::string, std::span<const std::byte>> members;
  std::string prefix;  // common prefix of the members, without the slash
};

bool is_zip(std::span<const std::byte> file) {
  const std::string_view mark = "PK\x03\x04";
  return std::string_view(reinterpret_cast<const char*>(file.data()), file.size()).starts_with(mark);
}

Archive open_archive(std::span<const std::byte> file, const std::string& path) {
  if (!is_zip(file)) refuse_other_kind(file, path, "a .pth archive of PyTorch 1.6 or later");
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

// Elements spanned by a view; nothing if that overflows.
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

using Dicts = std::vector<PickledDict>;

std::string listed(const std::vector<std::string>& keys) {
  constexpr std::size_t kListed = 8;
  const std::vector<std::string> first(keys.begin(), keys.begin() + std::min(keys.size(), kListed));
  const std::string more =
      keys.size() > kListed ? fmt::format(" and {} more", keys.size() - kListed) : std::string();
  return fmt::format("{}{}", fmt::join(first, ", "), more);
}

std::vector<std::string> keys_of(const Dicts& dicts) {
  std::vector<std::string> keys;
  for (const PickledDict& dict : dicts) keys.push_back(dict.path);
  return keys;
}

// Calls PthChoice::fits with entries that have only names.
bool fits(const PickledDict& dict, const PthChoice& choice) {
  if (!choice.fits) return true;
  std::vector<TensorEntry> names(dict.tensors.size());
  for (std::size_t i = 0; i < names.size(); ++i) names[i].source_key = dict.tensors[i].first;
  return choice.fits(names);
}

std::size_t chosen_by_key(const Dicts& dicts, const PthChoice& choice, const std::string& path) {
  for (std::size_t i = 0; i < dicts.size(); ++i) {
    if (dicts[i].path == choice.key || dicts[i].path == printable(choice.key)) return i;
  }
  throw UserError(fmt::format("{}: {} {}: no such dict of tensors in it; it has {}", path, choice.option,
                              printable(choice.key), listed(keys_of(dicts))));
}

std::size_t chosen(const Dicts& dicts, const PthChoice& choice, const std::string& path) {
  if (dicts.empty()) throw UserError(path + ": its state dict holds no tensors");
  if (!choice.key.empty()) return chosen_by_key(dicts, choice, path);
  if (dicts.size() == 1) return 0;
  std::vector<std::size_t> candidates;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < dicts.size(); ++i) {
    if (!fits(dicts[i], choice)) continue;
    candidates.push_back(i);
    keys.push_back(dicts[i].path);
  }
  if (candidates.size() == 1) return candidates[0];
  const std::string pick = choice.option.empty() ? "" : fmt::format("; {} KEY picks one", choice.option);
  if (candidates.empty()) {
    throw UserError(fmt::format("{}: none of its dicts of tensors is this network: {}{}", path,
                                listed(keys_of(dicts)), pick));
  }
  throw UserError(
      fmt::format("{}: it holds {} networks that fit: {}{}", path, candidates.size(), listed(keys), pick));
}

}  // namespace

PthFile open_pth(const std::string& path, const PthChoice& choice) {
  auto mapping = std::make_shared<const MappedFile>(path);
  const Archive archive = open_archive(mapping->span(), path);
  PthFile file;
  const Dicts dicts = read_pickle(archive.members.at(archive.prefix + std::string(kPickle)), path);
  const std::size_t taken = chosen(dicts, choice, path);
  for (const auto& [key, tensor] : dicts[taken].tensors) {
    file.entries.push_back(place(key, tensor, archive, path));
  }
  file.key = dicts[taken].path;
  for (std::size_t i = 0; i < dicts.size(); ++i) {
    if (i != taken) file.other_keys.push_back(dicts[i].path);
  }
  file.mapping = std::move(mapping);
  return file;
}

}  // namespace ferry::checkpoint
