#include "worker/planner/shapes.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "base/text/shown.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder/hub_folder.h"
#include "checkpoint/lora/lora.h"
#include "checkpoint/make/make_model.h"
#include "model/dit/spec.h"
#include "worker/distillation.h"

namespace ferry::worker {
namespace {

using checkpoint::Checkpoint;
using checkpoint::Part;

ModelShapes named(const std::string& name) {
  checkpoint::MakeModelOptions options;
  options.preset = name == "A14B" ? "14B" : name;
  const checkpoint::ModelConfigs configs = checkpoint::preset_configs(options);
  ModelShapes shapes{.name = name, .dit = configs.dit, .vae = configs.vae, .text = configs.text, .notes = {}};
  if (name == "A14B") {
    shapes.experts = 2;
    shapes.notes.emplace_back(
        "A14B: both experts lie in host memory, one is on the devices at a time; this version of Ferry does "
        "not "
        "run it yet");
  }
  return shapes;
}

// Sets `target` from the folder's files, or notes why it is not counted.
template <typename Config>
void look(std::optional<Config>& target, const std::string& folder, Part part,
          Config (*config_of)(const Checkpoint&), std::vector<std::string>& notes) {
  try {
    target = config_of(Checkpoint::look(folder, part));
  } catch (const UserError& error) {
    notes.push_back(fmt::format("not counted: {}: {}", checkpoint::name_of(part), error.what()));
  }
}

ModelShapes of_folder(const std::string& path) {
  const std::string folder = checkpoint::existing_model_folder(path);
  ModelShapes shapes{.name = path, .dit = {}, .vae = {}, .text = {}, .notes = {}};
  const Checkpoint dit = Checkpoint::open(folder, Part::Dit);
  shapes.dit = checkpoint::dit_config(dit);
  shapes.distilled = distilled_of(dit);
  look(shapes.vae, folder, Part::Vae, &checkpoint::vae_config, shapes.notes);
  look(shapes.text, folder, Part::TextEncoder, &checkpoint::umt5_config, shapes.notes);
  return shapes;
}

}  // namespace

ModelShapes model_shapes(const std::string& folder_or_name) {
  if (folder_or_name == "1.3B" || folder_or_name == "14B" || folder_or_name == "A14B")
    return named(folder_or_name);
  if (!std::filesystem::exists(folder_or_name)) {
    throw UserError(fmt::format("model {}: there is no such folder; known by name are 1.3B, 14B, A14B",
                                shown(folder_or_name, 200)));
  }
  return of_folder(folder_or_name);
}

std::optional<model::DitConfig> dit_by_name(const std::string& name) {
  if ((name != "1.3B" && name != "14B") || std::filesystem::exists(name)) return std::nullopt;
  return named(name).dit;
}

std::size_t lora_bytes(const std::string& path, const model::DitConfig& dit, DType compute) {
  const model::NetworkSpec spec = model::dit_spec(dit, compute);
  const auto lora = std::make_shared<const checkpoint::LoraFile>(
      checkpoint::LoraFile::open(path, spec, Part::Dit, checkpoint::Unmatched::Skip));
  return checkpoint::bytes_in_calls({{.file = lora, .strength = 1}}, spec);
}

}  // namespace ferry::worker
