#include "model/checkpoint/folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "model/checkpoint/describe.h"
#include "model/checkpoint/json_text.h"
#include "model/checkpoint/shards.h"

namespace ferry::model {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Where the layouts keep a part.
struct Places {
  const char* folder;                 // diffusers
  std::vector<std::string> stems;     // official: <stem>.safetensors, <stem>-00001-of-00006.safetensors
  std::vector<std::string> archives;  // official: .pth
};

Places places_of(Part part) {
  switch (part) {
    case Part::Dit:
      return {"transformer", {"diffusion_pytorch_model"}, {}};
    case Part::Vae:
      return {"vae", {"Wan2.1_VAE"}, {"Wan2.1_VAE.pth"}};
    case Part::TextEncoder:
      return {"text_encoder", {"models_t5_umt5-xxl-enc-bf16"}, {"models_t5_umt5-xxl-enc-bf16.pth"}};
  }
  throw std::invalid_argument("no such part");
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::string if_file(const fs::path& path) { return is_file(path) ? path.string() : std::string(); }

void check_folder(const std::string& model_dir) {
  if (is_folder(model_dir)) return;
  throw UserError(fmt::format("model folder {}: {}", model_dir.empty() ? "\"\"" : model_dir,
                              is_file(model_dir)
                                  ? "it is a file; the folder that holds the checkpoint is expected"
                                  : "it does not exist"));
}

void refuse_later_models(const fs::path& dir, Part part) {
  if (part == Part::Dit && (is_folder(dir / "high_noise_model") || is_folder(dir / "transformer_2"))) {
    throw UserError(
        fmt::format("model folder {}: Wan2.2 with two experts is not supported yet", dir.string()));
  }
  if (part == Part::Vae && is_file(dir / "Wan2.2_VAE.pth")) {
    throw UserError(
        fmt::format("{}: the Wan2.2 VAE is not supported yet", (dir / "Wan2.2_VAE.pth").string()));
  }
}

PartFiles in_diffusers_folder(const fs::path& folder) {
  PartFiles found = find_safetensors(folder.string(), {"diffusion_pytorch_model", "model"}, true);
  if (found.files.empty()) {
    throw UserError(fmt::format("{}: no *.safetensors file in it", folder.string()));
  }
  found.config = if_file(folder / "config.json");
  return found;
}

PartFiles in_official_folder(const fs::path& dir, const Places& places) {
  PartFiles found = find_safetensors(dir.string(), places.stems, false);
  for (const std::string& archive : places.archives) {
    if (found.files.empty() && is_file(dir / archive)) found.files = {(dir / archive).string()};
  }
  return found;
}

std::string looked_for(const Places& places) {
  std::vector<std::string> names = {fmt::format("{}/*.safetensors", places.folder)};
  for (const std::string& stem : places.stems) names.push_back(stem + "*.safetensors");
  names.insert(names.end(), places.archives.begin(), places.archives.end());
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

PartFiles find_part(const std::string& model_dir, Part part) {
  check_folder(model_dir);
  const fs::path dir(model_dir);
  refuse_later_models(dir, part);
  const Places places = places_of(part);
  const bool diffusers = is_folder(dir / places.folder);
  PartFiles found = diffusers ? in_diffusers_folder(dir / places.folder) : in_official_folder(dir, places);
  if (found.files.empty()) {
    throw UserError(fmt::format("model folder {}: no {} in it (looked for {})", model_dir, name_of(part),
                                looked_for(places)));
  }
  found.dit_config = if_file(dir / "transformer" / "config.json");
  if (found.dit_config.empty()) found.dit_config = if_file(dir / "config.json");
  if (part == Part::Dit && found.config.empty()) found.config = if_file(dir / "config.json");
  return found;
}

std::string find_tokenizer(const std::string& model_dir) {
  check_folder(model_dir);
  const fs::path dir(model_dir);
  for (const fs::path& path :
       {dir / "tokenizer" / "spiece.model", dir / "google" / "umt5-xxl" / "spiece.model"}) {
    if (is_file(path)) return path.string();
  }
  throw UserError(fmt::format(
      "model folder {}: no tokenizer in it (looked for tokenizer/spiece.model, google/umt5-xxl/spiece.model)",
      model_dir));
}

std::optional<double> scheduler_flow_shift(const std::string& model_dir) {
  const std::string path = if_file(fs::path(model_dir) / "scheduler" / "scheduler_config.json");
  if (path.empty()) return {};
  const json config = read_json_object(path);
  for (const char* name : {"flow_shift", "shift"}) {
    const auto value = config.find(name);
    if (value == config.end() || value->is_null()) continue;
    if (!value->is_number() || !(value->get<double>() > 0) || value->get<double>() > 1e6) {
      throw UserError(
          fmt::format("{}: {} is {}, expected a number above 0", path, name, printable(value->dump())));
    }
    return value->get<double>();
  }
  return {};
}

}  // namespace ferry::model
