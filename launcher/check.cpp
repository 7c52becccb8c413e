#include "launcher/check.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/device.h"
#include "base/error.h"
#include "base/file.h"

namespace ferry::launcher {
namespace {

namespace fs = std::filesystem;

void check_folder_and_device(const worker::ModelOptions& model) {
  if (model.path.empty())
    throw UserError("--model: the checkpoint folder is missing, as in --model Wan2.1-T2V-1.3B");
  if (!fs::exists(model.path)) throw UserError(fmt::format("--model: {}: no such folder", model.path));
  if (!fs::is_directory(model.path)) throw UserError(fmt::format("--model: {}: not a folder", model.path));
  if (model.device == "cuda" && cuda_device_count() == 0) {
    throw UserError("--device: cuda: no GPU can be used here; accepted: auto, cpu");
  }
}

void check_input_file(const char* flag, const std::string& path) {
  if (!path.empty() && !fs::is_regular_file(path))
    throw UserError(fmt::format("{}: {}: no such file", flag, path));
}

void check_result(const char* flag, const std::string& path, bool overwrite) {
  if (path.empty()) return;
  const fs::path parent = fs::path(path).parent_path();
  try {
    check_writable_folder(parent.empty() ? "." : parent.string());
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: {}", flag, error.what()));
  }
  if (fs::is_directory(path)) throw UserError(fmt::format("{}: {}: is a folder", flag, path));
  if (fs::exists(path) && !overwrite) {
    throw UserError(fmt::format("{}: {}: exists already; --overwrite replaces it", flag, path));
  }
}

void check_job(const worker::JobOptions& job) {
  const bool blank = job.prompt.find_first_not_of(" \t\r\n") == std::string::npos;
  if (blank && job.context.empty()) throw UserError("--prompt: the prompt is empty");
  check_input_file("--noise", job.noise);
  check_input_file("--context", job.context);
  check_result("--out", job.out.empty() ? "./x" : job.out, job.overwrite);
  check_result("--save", job.save, job.overwrite);
}

void check_degrees(const parallel::Options& options, int ranks) {
  const int cfg = options.cfg == parallel::CfgMode::Parallel ? 2 : 1;
  if (ranks % cfg != 0) {
    throw UserError(fmt::format("--cfg: parallel needs an even number of ranks, there are {}", ranks));
  }
  const int known = cfg * std::max(1, options.ulysses) * std::max(1, options.data);
  const bool free_degree = options.ulysses == 0 || options.data == 0;
  if (free_degree ? ranks % known != 0 : ranks != known) {
    throw UserError(
        fmt::format("{} ranks do not match data {} x cfg {} x ulysses {}; 0 stands for what is left", ranks,
                    options.data, cfg, options.ulysses));
  }
}

}  // namespace

void check_options(const worker::Options& options, int ranks) {
  check_model(options, ranks);
  check_job(options.job);
  check_input_file("--lora.path", options.lora.path);
}

void check_model(const worker::Options& options, int ranks) {
  check_folder_and_device(options.model);
  if (ranks > 0) check_degrees(options.parallel, ranks);
}

}  // namespace ferry::launcher
