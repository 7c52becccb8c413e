#include "checkpoint/formats/safetensors.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/files/file.h"
#include "base/text/describe.h"
#include "checkpoint/formats/safetensors_header.h"

namespace ferry::checkpoint {

namespace {

// Owns the data that the entries point into.
struct Held {
  explicit Held(const std::string& path) : file(path) {}
  MappedFile file;
  std::deque<double> widened;
};

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  auto held = std::make_shared<Held>(path);
  SafetensorsHeader header = parse_safetensors_header(held->file.span(), path);
  held->widened = std::move(header.widened);
  SafetensorsFile file;
  file.path_ = path;
  file.entries_ = std::move(header.entries);
  file.metadata_ = std::move(header.metadata);
  file.mapping_ = std::move(held);
  for (std::size_t i = 0; i < file.entries_.size(); ++i) file.index_[file.entries_[i].source_key] = i;
  return file;
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

const TensorEntry& SafetensorsFile::at(std::string_view name) const {
  const TensorEntry* entry = find(name);
  if (entry != nullptr) return *entry;
  constexpr std::size_t kListed = 8;
  std::string names;
  for (std::size_t i = 0; i < std::min(kListed, entries_.size()); ++i) {
    names += (i > 0 ? ", " : "") + printable(entries_[i].source_key);
  }
  if (entries_.size() > kListed) names += fmt::format(" and {} more", entries_.size() - kListed);
  throw UserError(
      fmt::format("{}: no tensor {}; it has {}", path_, printable(name), entries_.empty() ? "none" : names));
}

}  // namespace ferry::checkpoint
