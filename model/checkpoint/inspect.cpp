#include "model/checkpoint/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <unordered_set>

#include "base/error.h"
#include "model/checkpoint/expected.h"
#include "model/checkpoint/folder.h"

namespace ferry::model {

namespace {

using Dimensions = std::vector<std::pair<std::string, std::string>>;

template <typename T>
void add(Dimensions& list, const char* name, const T& value) {
  list.emplace_back(name, fmt::format("{}", value));
}

Dimensions describe(const DitConfig& config) {
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

Dimensions describe(const VaeConfig& config) {
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

Dimensions describe(const Umt5Config& config) {
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

// The part's dimensions and, from them, every tensor that it should have.
std::vector<ExpectedTensor> detect(const Checkpoint& checkpoint, Dimensions& config) {
  switch (checkpoint.part()) {
    case Part::Dit: {
      const DitConfig found = dit_config(checkpoint);
      config = describe(found);
      return expected_dit(found);
    }
    case Part::Vae: {
      const VaeConfig found = vae_config(checkpoint);
      config = describe(found);
      return expected_vae(found);
    }
    case Part::TextEncoder:
      break;
  }
  const Umt5Config found = umt5_config(checkpoint);
  config = describe(found);
  return expected_umt5(found);
}

// What the decoder alone can do without: the VAE's encoder side.
bool is_optional(Part part, const std::string& key) {
  return part == Part::Vae && (key.starts_with("encoder.") || key.starts_with("conv1."));
}

void list_tensors(const Checkpoint& checkpoint, PartReport& report) {
  report.layout = checkpoint.layout() == KeyLayout::Official ? "official" : "diffusers";
  report.format = checkpoint.format() == FileFormat::Pth ? "pth" : "safetensors";
  report.files = checkpoint.files();
  for (const TensorEntry& entry : checkpoint.entries()) {
    const std::string dtype(name_of(entry.dtype));
    const std::int64_t bytes = entry.numel() * static_cast<std::int64_t>(size_of(entry.dtype));
    report.parameters += entry.numel();
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
  for (const TensorEntry& entry : checkpoint.entries()) {
    if (!known.contains(entry.key)) report.unexpected.push_back(entry.source_key);
  }
}

PartReport inspect_part(const std::string& model_dir, Part part) {
  PartReport report;
  report.part = part;
  try {
    const Checkpoint checkpoint = Checkpoint::open(model_dir, part);
    list_tensors(checkpoint, report);
    compare(checkpoint, detect(checkpoint, report.config), report);
  } catch (const UserError& error) {
    report.error = error.what();
  }
  return report;
}

}  // namespace

bool InspectReport::usable() const {
  return tokenizer_error.empty() &&
         std::all_of(parts.begin(), parts.end(), [](const PartReport& part) { return part.usable(); });
}

InspectReport inspect(const std::string& model_dir) {
  if (!std::filesystem::is_directory(model_dir)) {
    throw UserError(fmt::format("model folder \"{}\" does not exist or is no folder", model_dir));
  }
  InspectReport report;
  report.path = model_dir;
  for (const Part part : {Part::Dit, Part::Vae, Part::TextEncoder})
    report.parts.push_back(inspect_part(model_dir, part));
  try {
    report.tokenizer = find_tokenizer(model_dir);
  } catch (const UserError& error) {
    report.tokenizer_error = error.what();
  }
  return report;
}

}  // namespace ferry::model
