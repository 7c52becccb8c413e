#include "checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/folder/folder.h"
#include "checkpoint/folder/shards.h"
#include "checkpoint/formats/pth.h"
#include "checkpoint/names/keys.h"
#include "checkpoint/quantization/find_quantization.h"
#include "checkpoint/quantization/quantization_names.h"

namespace ferry::checkpoint {

namespace {

constexpr std::size_t kMostTensors = 100'000;
constexpr std::size_t kLongestName = 1000;

bool is_pth(const std::string& path) { return path.ends_with(".pth") || path.ends_with(".pt"); }

// The option that selects a dict of this part's .pth file.
const char* key_option(Part part) {
  switch (part) {
    case Part::Dit:
      return "--model.dit_key";
    case Part::Vae:
      return "--model.vae_key";
    case Part::TextEncoder:
      break;
  }
  return "--model.text_encoder_key";
}

// The names without foreign prefixes, in the order of the entries.
std::vector<std::string> bare_names(const std::vector<TensorEntry>& entries, const std::string& file) {
  if (entries.size() > kMostTensors)
    throw UserError(fmt::format("{}: more than {} tensors", file, kMostTensors));
  std::vector<std::string> names;
  for (const TensorEntry& entry : entries) {
    if (entry.source_key.size() > kLongestName) {
      throw UserError(fmt::format("{}: tensor {}: its name is too long", file, printable(entry.source_key)));
    }
    names.push_back(without_prefix(entry.source_key));
  }
  return names;
}

// True if most of a dict's names belong to this part.
bool is_network(std::span<const TensorEntry> entries, Part part) {
  std::vector<std::string> names;
  for (const TensorEntry& entry : entries) {
    if (entry.source_key.size() > kLongestName) return false;
    const std::string name = without_prefix(entry.source_key);
    if (quantization_name(name).role == QuantizationRole::None) names.push_back(name);
  }
  const KeyMap map(part, vae_resnets(names));
  const auto known = std::count_if(names.begin(), names.end(), [&](const std::string& name) {
    return map.is_official(name) || map.to_official(name).has_value();
  });
  return 2 * static_cast<std::size_t>(known) >= names.size();
}

// Note for a .pth file whose tensors are not at its root, or not alone.
std::string choice_note(const PthFile& file, const std::string& path) {
  std::string text =
      fmt::format("{}: its tensors are those of {}", path, file.key == "." ? "the top level" : file.key);
  if (file.other_keys.empty()) return text;
  const std::string more =
      file.other_keys.size() > 1 ? fmt::format(" and {} more", file.other_keys.size() - 1) : std::string();
  return fmt::format("{}; not read: {}{}", text, file.other_keys.front(), more);
}

// transformers may write umT5's single embedding under two names.
bool is_second_name(const TensorEntry& entry, const TensorEntry& other) {
  return entry.key == "token_embedding.weight" && entry.shape == other.shape && entry.dtype == other.dtype;
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& model_dir, Part part, const std::string& key) {
  return look(model_dir, part, key).without_fault();
}

Checkpoint Checkpoint::look(const std::string& model_dir, Part part, const std::string& key) {
  return open_part(find_part(model_dir, part), part, key);
}

Checkpoint Checkpoint::without_fault() && {
  if (!quantization_.fault.empty()) throw UserError(quantization_.fault);
  return std::move(*this);
}

Checkpoint Checkpoint::open_files(const std::vector<std::string>& paths, Part part) {
  if (paths.empty()) throw std::invalid_argument("no files to open");
  PartFiles files;
  files.files = paths;
  const auto config = std::filesystem::path(paths.front()).parent_path() / "config.json";
  if (std::filesystem::is_regular_file(config)) files.config = config.string();
  return open_part(files, part, {}).without_fault();
}

void Checkpoint::take_pth(const std::string& path, const std::string& key) {
  PthFile file = open_pth(path, {.key = key, .option = key_option(part_), .fits = [this](const auto& names) {
                                   return is_network(names, part_);
                                 }});
  format_ = FileFormat::Pth;
  if (file.key != "." || !file.other_keys.empty()) notes_.push_back(choice_note(file, path));
  entries_ = std::move(file.entries);
  mappings_ = {std::move(file.mapping)};
}

Checkpoint Checkpoint::open_part(const PartFiles& files, Part part, const std::string& key) {
  Checkpoint checkpoint;
  checkpoint.part_ = part;
  checkpoint.files_ = files.files;
  checkpoint.config_file_ = files.config;
  checkpoint.dit_config_file_ = files.dit_config;
  HeaderMarks marks;
  const std::string& first = files.files.front();
  if (is_pth(first)) {
    if (files.files.size() > 1) throw UserError(first + ": a .pth checkpoint is one file");
    checkpoint.take_pth(first, key);
  } else {
    if (!key.empty()) {
      throw UserError(fmt::format("{} {}: {} is no .pth file; only those have keys", key_option(part),
                                  printable(key), first));
    }
    Shards shards = open_shards(files);
    checkpoint.entries_ = std::move(shards.entries);
    checkpoint.unindexed_ = std::move(shards.unindexed);
    marks = std::move(shards.marks);
    checkpoint.mappings_ = std::move(shards.mappings);
  }
  const std::vector<std::string> names = bare_names(checkpoint.entries_, first);
  checkpoint.take_quantization(names, marks);
  checkpoint.name_entries(names);
  return checkpoint;
}

void Checkpoint::take_quantization(const std::vector<std::string>& names, const HeaderMarks& marks) {
  try {
    quantization_ = find_quantization(entries_, names, marks, config_file_);
  } catch (const UserError& error) {
    quantization_.fault = error.what();
  }
}

void Checkpoint::name_entries(const std::vector<std::string>& names) {
  const std::string& file = files_.front();
  const KeyMap map(part_, vae_resnets(names));
  const auto layout = detect_layout(map, names);
  if (!layout) {
    throw UserError(fmt::format("{}: no {} in the official or the diffusers layout; its first tensor is {}",
                                file, name_of(part_),
                                entries_.empty() ? "none" : printable(entries_[0].source_key)));
  }
  layout_ = *layout;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    entries_[i].key = entries_[i].companion            ? ""
                      : layout_ == KeyLayout::Official ? names[i]
                                                       : map.to_official(names[i]).value_or("");
    if (!entries_[i].key.empty()) name_entry(i);
  }
}

void Checkpoint::name_entry(std::size_t i) {
  const auto [held, added] = index_.emplace(entries_[i].key, i);
  if (added) return;
  const TensorEntry& other = entries_[held->second];
  if (!is_second_name(entries_[i], other)) {
    throw UserError(fmt::format("{}: tensors {} and {} both are {}", entries_[i].file,
                                printable(other.source_key), printable(entries_[i].source_key),
                                printable(entries_[i].key)));
  }
  // transformers has written files whose encoder.embed_tokens is all zeros beside the real shared.weight.
  if (entries_[i].source_key.ends_with("shared.weight")) held->second = i;
}

const TensorEntry* Checkpoint::find(std::string_view key) const {
  const auto found = index_.find(std::string(key));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

}  // namespace ferry::checkpoint
