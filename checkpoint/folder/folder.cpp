#include "checkpoint/folder/folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/folder/hub_folder.h"
#include "checkpoint/folder/path_kind.h"
#include "checkpoint/folder/pipeline_files.h"
#include "checkpoint/folder/shards.h"

namespace ferry::checkpoint {

namespace {

namespace fs = std::filesystem;

// Locations of a part in the layouts.
struct Places {
  const char* folder;                 // diffusers
  std::vector<std::string> stems;     // official: <stem>.safetensors, <stem>-00001-of-00006.safetensors
  std::vector<std::string> archives;  // official: .pth
};

Places places_of(Part part) {
  switch (part) {
    case Part::Dit:
      return {"transformer",
              {"diffusion_pytorch_model"},
              {"diffusion_pytorch_model.pth", "diffusion_pytorch_model.pt"}};
    case Part::Vae:
      return {"vae", {"Wan2.1_VAE"}, {"Wan2.1_VAE.pth"}};
    case Part::TextEncoder:
      return {"text_encoder", {"models_t5_umt5-xxl-enc-bf16"}, {"models_t5_umt5-xxl-enc-bf16.pth"}};
  }
  throw std::invalid_argument("no such part");
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

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(folder, error)) {
    std::string name = item.path().filename().string();
    if (name[0] != '.') names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The folder's only .pth or .pt file that is not another part of an official checkpoint, or empty.
std::string only_archive(const fs::path& folder) {
  std::string only;
  for (const std::string& name : names_in(folder)) {
    const bool archive = name.ends_with(".pth") || name.ends_with(".pt");
    if (!archive || name.starts_with("Wan2") || name.starts_with("models_")) continue;
    if (!only.empty()) {
      throw UserError(
          fmt::format("{}: several .pth files ({}, {} ...) and no safetensors file; one is expected",
                      folder.string(), only, name));
    }
    only = name;
  }
  return only.empty() ? only : (folder / only).string();
}

// True for names that the official layout uses for some part.
bool has_a_place(const std::string& name) {
  return name.starts_with("diffusion_pytorch_model") || name.starts_with("models_") ||
         name.starts_with("Wan2.1_VAE");
}

// Describes the first file that may be the missing one: in an unsupported format, or under another name.
// Empty if there is none.
std::string near_miss(const fs::path& folder) {
  const std::vector<std::string> names = names_in(folder);
  for (const std::string& name : names) {
    for (const char* end : {".gguf", ".bin", ".ckpt", ".msgpack", ".h5", ".onnx", ".nemo"}) {
      if (name.ends_with(end))
        return fmt::format("; {} is there, a {} file, which is not read", printable(name), end);
    }
  }
  for (const std::string& name : names) {
    const bool weights = name.ends_with(".safetensors") || name.ends_with(".pth") || name.ends_with(".pt");
    if (weights && !has_a_place(name))
      return fmt::format("; {} is there, under a name that is not looked for", printable(name));
  }
  return "";
}

PartFiles in_diffusers_folder(const fs::path& folder) {
  PartFiles found = find_safetensors(folder.string(), {"diffusion_pytorch_model", "model"}, true);
  const std::string archive = found.files.empty() ? only_archive(folder) : std::string();
  if (!archive.empty()) found.files = {archive};
  if (found.files.empty()) {
    throw UserError(fmt::format("{}: no *.safetensors file in it{}", folder.string(), near_miss(folder)));
  }
  found.config = if_file(folder / "config.json");
  return found;
}

PartFiles in_official_folder(const fs::path& dir, const Places& places, Part part) {
  PartFiles found = find_safetensors(dir.string(), places.stems, false);
  for (const std::string& archive : places.archives) {
    if (found.files.empty() && is_file(dir / archive)) found.files = {(dir / archive).string()};
  }
  const std::string archive = part == Part::Dit && found.files.empty() ? only_archive(dir) : std::string();
  if (!archive.empty()) found.files = {archive};
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
  const fs::path dir(existing_model_folder(model_dir));
  refuse_later_models(dir, part);
  check_model_index(dir.string(), part);
  const Places places = places_of(part);
  const bool diffusers = is_folder(dir / places.folder);
  PartFiles found =
      diffusers ? in_diffusers_folder(dir / places.folder) : in_official_folder(dir, places, part);
  if (found.files.empty()) {
    throw UserError(fmt::format("model folder {}: no {} in it (looked for {}{})", dir.string(), name_of(part),
                                looked_for(places), near_miss(dir)));
  }
  found.dit_config = if_file(dir / "transformer" / "config.json");
  if (found.dit_config.empty()) found.dit_config = if_file(dir / "config.json");
  if (part == Part::Dit && found.config.empty()) found.config = if_file(dir / "config.json");
  return found;
}

std::string find_tokenizer(const std::string& model_dir) {
  const fs::path dir(existing_model_folder(model_dir));
  for (const fs::path& path :
       {dir / "tokenizer" / "spiece.model", dir / "google" / "umt5-xxl" / "spiece.model"}) {
    if (is_file(path)) return path.string();
  }
  const bool other = is_file(dir / "tokenizer" / "tokenizer.json") || is_file(dir / "tokenizer.json");
  throw UserError(fmt::format(
      "model folder {}: no tokenizer in it (looked for tokenizer/spiece.model, "
      "google/umt5-xxl/spiece.model){}",
      dir.string(), other ? "; tokenizer.json is not read, spiece.model of google/umt5-xxl is needed" : ""));
}

}  // namespace ferry::checkpoint
