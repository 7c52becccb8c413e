#include "worker/job/inputs.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/error.h"
#include "checkpoint/folder/folder.h"
#include "checkpoint/folder/hub_folder.h"
#include "checkpoint/lora/lora_folder.h"

namespace ferry::worker {
namespace {

using Files = std::vector<InputFile>;

void add(Files& files, const char* what, const std::string& path) {
  if (!path.empty()) files.push_back({what, path});
}

void add_part(Files& files, const std::string& folder, checkpoint::Part part) {
  try {
    const checkpoint::PartFiles found = checkpoint::find_part(folder, part);
    for (const std::string& file : found.files) add(files, "model", file);
    for (const std::string& file : {found.index, found.config, found.dit_config}) add(files, "model", file);
  } catch (const UserError&) {  // a missing part, which this run does not need
  }
}

void add_model(Files& files, const std::string& path) {
  if (path.empty()) return;
  for (const checkpoint::PartName& each : checkpoint::kParts) add_part(files, path, each.part);
  try {
    add(files, "model", checkpoint::find_tokenizer(path));
  } catch (const UserError&) {  // no tokenizer, no file to protect
  }
  const std::filesystem::path folder = checkpoint::model_folder(path);
  for (const char* name : {"ferry.cfg", "model_index.json", "scheduler/scheduler_config.json"}) {
    add(files, "model", (folder / name).string());
  }
}

void add_lora(Files& files, const std::string& path) {
  const std::string file = checkpoint::lora_file(path);
  add(files, "LoRA", file);
  add(files, "LoRA", checkpoint::adapter_config_of(file).path);
}

}  // namespace

std::vector<InputFile> inputs_of(const Options& options, const Job& job) {
  Files files;
  add_model(files, options.model.path);
  if (job.latents.empty()) {
    for (const LoraChoice& lora : options.job.loras) add_lora(files, lora.path);
  }
  for (const std::string& file : options.config_files) add(files, "options", file);
  add(files, "noise", job.noise);
  add(files, "context", job.context);
  add(files, "latents", job.latents);
  return files;
}

void check_no_input(const std::string& what, const std::string& path, const std::vector<InputFile>& inputs) {
  struct stat result = {};
  if (::stat(path.c_str(), &result) != 0) return;
  for (const InputFile& input : inputs) {
    struct stat read = {};
    if (::stat(input.path.c_str(), &read) != 0) continue;
    if (read.st_dev != result.st_dev || read.st_ino != result.st_ino) continue;
    throw UserError(
        fmt::format("{} {}: this run reads its {} there; accepted: another name", what, path, input.what));
  }
}

}  // namespace ferry::worker
