#include "launcher/check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/files/pending_file.h"
#include "checkpoint/folder/hub_folder.h"
#include "launcher/options/paths.h"
#include "model/text/clean.h"
#include "worker/output/files.h"

namespace ferry::launcher {
namespace {

namespace fs = std::filesystem;

void check_folder(const worker::ModelOptions& model) {
  if (model.path.empty())
    throw UserError("--model: the checkpoint folder is missing, as in --model Wan2.1-T2V-1.3B");
  try {
    checkpoint::existing_model_folder(model.path);
  } catch (const UserError& error) {
    throw UserError(fmt::format("--model: {}", error.what()));
  }
}

void check_given_file(const char* flag, const std::string& path) {
  if (!path.empty()) check_input_file(flag, path);
}

void check_result(const char* flag, const std::string& path, bool overwrite) {
  if (path.empty()) return;
  try {
    worker::check_can_write(path, overwrite);
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: {}", flag, error.what()));
  }
}

void check_job(const worker::JobOptions& job) {
  if (job.out.empty()) check_writable_folder(".");
  check_result("--out", job.out, job.overwrite);
  check_result("--save", job.save, job.overwrite);
  check_given_file("--latents", job.latents);
  if (!job.latents.empty()) return;  // inputs of sampling are unused then
  if (job.context.empty() && model::is_blank_prompt(job.prompt))
    throw UserError("--prompt: the prompt is empty");
  check_given_file("--noise", job.noise);
  check_given_file("--context", job.context);
}

void check_jobs(const worker::Options& options) {
  if (options.run.jobs != "-") check_input_file("--jobs", options.run.jobs);
  if (options.run.jobs == "-" && isatty(STDIN_FILENO) == 1)
    throw UserError(
        "--jobs -: standard input is a terminal; accepted: a pipe or a file, as in --jobs - < FILE");
  if (!options.run.state.empty())
    throw UserError("run.state: with --jobs each video has a state of its own, beside it");
  if (!options.trace_file.empty()) throw UserError("trace.file: it is of one video, not with --jobs");
}

void check_loras(const worker::LoraOptions& options) {
  if (options.paths.empty() && !options.strengths.empty())
    throw UserError("lora.strength: there is no LoRA whose strength it could be; --lora.path PATH names one");
  for (const std::string& path : options.paths) {
    std::error_code error;  // for an invalid file name
    if (!fs::is_directory(path, error)) check_given_file("--lora.path", path);
  }
}

bool match(const parallel::Options& options, int cfg, int ranks) {
  const int known = cfg * std::max(1, options.ulysses) * std::max(1, options.data);
  const bool free_degree = options.ulysses == 0 || options.data == 0;
  return free_degree ? ranks % known == 0 : ranks == known;
}

void check_degrees(const parallel::Options& options, int ranks) {
  const int cfg = options.cfg == parallel::CfgMode::Parallel ? 2 : 1;
  if (ranks % cfg != 0) {
    throw UserError(fmt::format("--cfg: parallel needs an even number of ranks, there are {}", ranks));
  }
  if (match(options, cfg, ranks)) return;
  if (options.cfg == parallel::CfgMode::Auto && match(options, 2, ranks)) return;
  throw UserError(
      fmt::format("{} ranks do not match data {} x cfg {} x ulysses {}; 0 stands for what is left", ranks,
                  options.data, cfg, options.ulysses));
}

}  // namespace

void check_options(const worker::Options& options, int ranks) {
  check_model(options, ranks);
  if (options.run.jobs.empty()) {
    check_job(options.job);
  } else {
    check_jobs(options);
  }
  if (options.job.latents.empty()) check_loras(options.lora);
  check_given_file("--attention.fa3", options.attention.fa3);
  check_result("--trace.file", options.trace_file, true);
  if (options.job.latents.empty()) check_result("--run.state", options.run.state, true);
}

void check_model(const worker::Options& options, int ranks) {
  check_folder(options.model);
  if (ranks > 0) check_degrees(options.parallel, ranks);
}

}  // namespace ferry::launcher
