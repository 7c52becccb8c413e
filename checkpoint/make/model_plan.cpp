#include "checkpoint/make/model_plan.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "checkpoint/make/model_texts.h"
#include "checkpoint/names/keys.h"

namespace ferry::checkpoint {

namespace {

namespace fs = std::filesystem;

// Location of a part in its layout.
struct Target {
  std::string folder;  // relative to the model folder
  std::string stem;
  FileFormat format = FileFormat::Safetensors;
};

Target target_of(Part part, KeyLayout layout) {
  const bool official = layout == KeyLayout::Official;
  switch (part) {
    case Part::Dit:
      return {official ? "" : "transformer", "diffusion_pytorch_model", FileFormat::Safetensors};
    case Part::Vae:
      return official ? Target{"", "Wan2.1_VAE", FileFormat::Pth}
                      : Target{"vae", "diffusion_pytorch_model", FileFormat::Safetensors};
    case Part::TextEncoder:
      break;
  }
  return official ? Target{"", "models_t5_umt5-xxl-enc-bf16", FileFormat::Pth}
                  : Target{"text_encoder", "model", FileFormat::Safetensors};
}

std::vector<ExpectedTensor> expected_of(Part part, const ModelConfigs& configs) {
  switch (part) {
    case Part::Dit:
      return expected_dit(configs.dit);
    case Part::Vae:
      return expected_vae(configs.vae);
    case Part::TextEncoder:
      break;
  }
  return expected_umt5(configs.text);
}

std::vector<PlannedTensor> plan_tensors(Part part, const MakeModelOptions& options,
                                        const ModelConfigs& configs) {
  const KeyMap map(part, configs.vae.res_blocks + 1);
  const DType published = part == Part::TextEncoder ? DType::BF16 : DType::F32;
  std::vector<PlannedTensor> tensors;
  for (ExpectedTensor& expected : expected_of(part, configs)) {
    const bool official = options.layout == KeyLayout::Official;
    const std::string name = official ? expected.key : map.to_diffusers(expected.key).value();
    tensors.push_back({{name, options.dtype.value_or(published), expected.shape}, std::move(expected)});
  }
  return tensors;
}

// Splits tensors into shards in order, none larger than `limit` bytes unless a single tensor is.
std::vector<std::vector<PlannedTensor>> cut(std::vector<PlannedTensor> tensors, std::size_t limit) {
  std::vector<std::vector<PlannedTensor>> shards(1);
  std::size_t bytes = 0;
  for (PlannedTensor& tensor : tensors) {
    if (!shards.back().empty() && bytes + tensor.info.bytes() > limit) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += tensor.info.bytes();
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

// Adds the index of several shards: tensor name to file.
void add_index(ModelPlan& plan, const fs::path& folder, const std::string& stem, std::size_t shards) {
  std::map<std::string, std::string> weight_map;
  std::int64_t total = 0;
  for (std::size_t i = plan.files.size() - shards; i < plan.files.size(); ++i) {
    total += plan.files[i].bytes();
    for (const PlannedTensor& tensor : plan.files[i].tensors) {
      weight_map[tensor.info.name] = fs::path(plan.files[i].path).filename().string();
    }
  }
  plan.texts.push_back(
      {(folder / (stem + ".safetensors.index.json")).string(), index_text(weight_map, total)});
}

void add_part(ModelPlan& plan, Part part, const MakeModelOptions& options, const ModelConfigs& configs) {
  const Target target = target_of(part, options.layout);
  const fs::path folder = fs::path(options.out) / target.folder;
  std::vector<PlannedTensor> tensors = plan_tensors(part, options, configs);
  const std::string config = config_text(part, options.layout, configs);
  if (!config.empty()) plan.texts.push_back({(folder / "config.json").string(), config});
  if (target.format == FileFormat::Pth) {
    plan.replaced.push_back((folder / (target.stem + ".pth")).string());
    plan.files.push_back({(folder / (target.stem + ".pth")).string(), target.format, std::move(tensors)});
    return;
  }
  auto shards = cut(std::move(tensors), static_cast<std::size_t>(options.shard_bytes));
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string number = shards.size() == 1 ? "" : fmt::format("-{:05}-of-{:05}", i + 1, shards.size());
    const std::string path = (folder / (target.stem + number + ".safetensors")).string();
    plan.replaced.push_back(path);
    plan.files.push_back({path, target.format, std::move(shards[i])});
  }
  plan.replaced.push_back((folder / (target.stem + ".safetensors.index.json")).string());
  if (shards.size() > 1) add_index(plan, folder, target.stem, shards.size());
}

}  // namespace

std::int64_t PlannedFile::bytes() const {
  std::int64_t total = 0;
  for (const PlannedTensor& tensor : tensors) total += static_cast<std::int64_t>(tensor.info.bytes());
  return total;
}

std::int64_t ModelPlan::bytes() const {
  std::int64_t total = 0;
  for (const PlannedFile& file : files) total += file.bytes();
  return total;
}

ModelPlan plan_model(const MakeModelOptions& options, const ModelConfigs& configs) {
  ModelPlan plan;
  const fs::path out(options.out);
  const bool official = options.layout == KeyLayout::Official;
  for (const Part part : options.parts) {
    add_part(plan, part, options, configs);
    if (part == Part::TextEncoder) {
      plan.tokenizer = (out / (official ? "google/umt5-xxl" : "tokenizer") / "spiece.model").string();
    }
  }
  if (!official) {
    plan.texts.push_back({(out / "scheduler" / "scheduler_config.json").string(), scheduler_text()});
    plan.texts.push_back({(out / "model_index.json").string(), model_index_text()});
  }
  return plan;
}

}  // namespace ferry::checkpoint
