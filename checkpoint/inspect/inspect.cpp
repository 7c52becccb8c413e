#include "checkpoint/inspect/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/folder/folder.h"
#include "checkpoint/folder/hub_folder.h"
#include "checkpoint/folder/pipeline_files.h"
#include "checkpoint/network/expected.h"
#include "checkpoint/network/unexpected.h"
#include "model/text/tokenizer.h"

namespace ferry::checkpoint {

namespace {

using Dimensions = std::vector<std::pair<std::string, std::string>>;

template <typename T>
void add(Dimensions& list, const char* name, const T& value) {
  list.emplace_back(name, fmt::format("{}", value));
}

Dimensions describe(const model::DitConfig& config) {
  Dimensions list;
  add(list, "dim", config.dim);
  add(list, "ffn_dim", config.ffn_dim);
  add(list, "heads", config.heads);
  add(list, "head_dim", config.head_dim());
  add(list, "layers", config.layers);
  add(list, "in_channels", config.in_channels);
  add(list, "out_channels", config.out_channels);
  add(list, "text_dim", config.text_dim);
  add(list, "text_len", config.text_len);
  add(list, "freq_dim", config.freq_dim);
  add(list, "eps", config.eps);
  return list;
}

Dimensions describe(const model::VaeConfig& config) {
  Dimensions list;
  add(list, "base_dim", config.base_dim);
  add(list, "z_dim", config.z_dim);
  add(list, "dim_mult", config.dim_mult);
  add(list, "res_blocks", config.res_blocks);
  add(list, "temporal_down", config.temporal_down);
  add(list, "latents_mean", config.latents_mean);
  add(list, "latents_std", config.latents_std);
  return list;
}

Dimensions describe(const model::Umt5Config& config) {
  Dimensions list;
  add(list, "vocab", config.vocab);
  add(list, "dim", config.dim);
  add(list, "attn_dim", config.attn_dim);
  add(list, "ffn_dim", config.ffn_dim);
  add(list, "heads", config.heads);
  add(list, "layers", config.layers);
  add(list, "buckets", config.buckets);
  add(list, "text_len", config.text_len);
  add(list, "eps", config.eps);
  return list;
}

// Detects the part's dimensions and returns the tensors that follow from them.
std::vector<ExpectedTensor> detect(const Checkpoint& checkpoint, Dimensions& config) {
  switch (checkpoint.part()) {
    case Part::Dit: {
      const model::DitConfig found = dit_config(checkpoint);
      config = describe(found);
      return expected_dit(found);
    }
    case Part::Vae: {
      const model::VaeConfig found = vae_config(checkpoint);
      config = describe(found);
      return expected_vae(found);
    }
    case Part::TextEncoder:
      break;
  }
  const model::Umt5Config found = umt5_config(checkpoint);
  config = describe(found);
  return expected_umt5(found);
}

// Not needed for decoding: the VAE's encoder half.
bool is_optional(Part part, const std::string& key) {
  return part == Part::Vae && (key.starts_with("encoder.") || key.starts_with("conv1."));
}

void list_tensors(const Checkpoint& checkpoint, PartReport& report) {
  report.layout = std::string(word_of(checkpoint.layout()));
  report.format = std::string(word_of(checkpoint.format()));
  report.files = checkpoint.files();
  report.quantization = checkpoint.quantization();
  for (const TensorEntry& entry : checkpoint.entries()) {
    const std::string dtype(name_of(entry.dtype));
    const std::int64_t bytes = entry.numel() * static_cast<std::int64_t>(size_of(entry.dtype));
    if (!entry.companion) report.parameters += entry.numel();
    report.bytes += bytes;
    report.dtype_bytes[dtype] += bytes;
    ++report.dtype_tensors[dtype];
    report.tensors.push_back({entry.key, entry.source_key, entry.file, entry.dtype, entry.shape});
  }
}

void compare(const Checkpoint& checkpoint, const std::vector<ExpectedTensor>& expected, PartReport& report) {
  std::unordered_set<std::string> known;
  for (const ExpectedTensor& tensor : expected) {
    known.insert(tensor.key);
    const TensorEntry* entry = checkpoint.find(tensor.key);
    if (entry == nullptr) {
      (is_optional(report.part, tensor.key) ? report.missing_optional : report.missing).push_back(tensor.key);
    } else if (entry->shape != tensor.shape) {
      report.wrong_shapes.push_back({tensor.key, tensor.shape, entry->shape});
    }
  }
  Unexpected unexpected = find_unexpected(checkpoint, known);
  report.unexpected = std::move(unexpected.tensors);
  report.unknown_settings = std::move(unexpected.members);
  report.notes = checkpoint.notes();
  for (const std::string& name : unexpected.counters)
    report.notes.push_back(fmt::format("{} is a counter, not read", printable(name)));
}

PartReport inspect_part(const std::string& model_dir, Part part, const std::string& key) {
  PartReport report;
  report.part = part;
  try {
    const Checkpoint checkpoint = Checkpoint::look(model_dir, part, key);
    list_tensors(checkpoint, report);
    report.error = report.quantization.fault;
    compare(checkpoint, detect(checkpoint, report.config), report);
  } catch (const UserError& error) {
    if (report.error.empty()) report.error = error.what();
  }
  return report;
}

// Path of a tokenizer that loads; its text length does not matter here.
std::string checked_tokenizer(const std::string& folder) {
  std::string path = find_tokenizer(folder);
  const model::Tokenizer tokenizer(path, 1);
  return path;
}

std::string fault_of(const std::function<void()>& look) {
  try {
    look();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

bool InspectReport::usable() const {
  return tokenizer_error.empty() && scheduler_error.empty() &&
         std::all_of(parts.begin(), parts.end(), [](const PartReport& part) { return part.usable(); });
}

InspectReport inspect(const std::string& model_dir, const std::map<Part, std::string>& keys) {
  InspectReport report;
  report.path = existing_model_folder(model_dir);
  for (const auto& [part, word, title] : kParts) {
    const auto key = keys.find(part);
    report.parts.push_back(inspect_part(report.path, part, key == keys.end() ? "" : key->second));
  }
  report.tokenizer_error = fault_of([&] { report.tokenizer = checked_tokenizer(report.path); });
  report.scheduler_error = fault_of([&] { scheduler_flow_shift(report.path); });
  return report;
}

}  // namespace ferry::checkpoint
