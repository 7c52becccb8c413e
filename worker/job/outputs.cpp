#include "worker/job/outputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/files/fingerprint.h"
#include "base/log.h"
#include "base/text/lower.h"
#include "base/text/shown.h"
#include "worker/job/inputs.h"
#include "worker/job/latents.h"
#include "worker/output/files.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStateEnding = ".state";
constexpr std::size_t kHashDigits = 12;
constexpr int kMostStates = 20;

// The video's path without extension, and the requested extension as written.
std::pair<std::string, std::string> wanted_name(const Job& job, const JobOptions& options) {
  if (options.out.empty() && !options.name.empty()) return {options.name, ""};
  if (options.out.empty() && !job.latents.empty()) return {stem_of_latents(job.latents), ""};
  if (options.out.empty()) return {fmt::format("{}-{}", slug_of(job.prompt), job.seed), ""};
  const fs::path path(options.out);
  const std::string extension = path.extension().string();
  if (lower(extension) == ".mp4" || lower(extension) == ".y4m")
    return {path.parent_path() / path.stem(), extension};
  if (extension.empty() && path.has_filename()) return {options.out, ""};
  throw UserError(fmt::format("out {}: the video's name ends in .mp4 or .y4m", shown(options.out)));
}

void check_values(const Job& job) {
  if (!(job.fps > 0) || job.fps > 1000)
    throw UserError(fmt::format("fps {}: more than 0, up to 1000", job.fps));
  if (job.out_scale < 1 || job.out_scale > 16)
    throw UserError(fmt::format("out_scale {}: 1 to 16", job.out_scale));
}

struct Output {
  const char* what;
  std::string path;
  bool overwrite = false;
};

std::vector<Output> outputs_of(const Job& job, const std::string& trace_file) {
  std::vector<Output> outputs = {{"video", job.video, job.overwrite},
                                 {"sheet", job.sheet, job.overwrite},
                                 {"record", job.record, job.overwrite}};
  if (!job.save.empty()) outputs.push_back({"save", job.save, job.overwrite});
  // Another run's timeline may be overwritten.
  if (!trace_file.empty()) outputs.push_back({"trace.file", trace_file, true});
  return outputs;
}

void hold(HeldNames& held, const Output& output, const std::vector<Output>& before) {
  const std::string key = Reservation::key_of(output.path);
  for (std::size_t i = 0; i < held.names.size(); ++i) {
    if (held.names[i].key() == key) {
      throw UserError(fmt::format("{} {}: this run writes its {} there; accepted: another name", output.what,
                                  shown(output.path, std::string::npos), before[i].what));
    }
  }
  std::optional<Reservation> taken = Reservation::take(output.path);
  if (!taken) {
    throw UserError(fmt::format("{} {}: another run is writing it; wait for its end or choose another name",
                                output.what, shown(output.path, std::string::npos)));
  }
  held.names.push_back(*std::move(taken));
  // Another run may have finished it since the first check.
  check_not_taken(output.path, output.overwrite);
}

void hold_latents(HeldNames& held, const Options& options, const Job& job) {
  for (int number = 1;; ++number) {
    const std::string path = latents_path(job.video, number);
    const std::string key = Reservation::key_of(path);
    if (std::any_of(held.names.begin(), held.names.end(), [&](const auto& one) { return one.key() == key; }))
      continue;
    std::error_code error;
    const bool there = fs::exists(fs::symlink_status(path, error));
    const bool own = there && are_latents_of(path, options, job);
    if (there && !own) {
      const std::string word = shell_word(path);
      spdlog::warn("{} is there, of a run that did not finish: --latents {} decodes it", word, word);
      continue;
    }
    if (std::optional<Reservation> taken = Reservation::take(path)) {
      held.names.push_back(*std::move(taken));
      held.latents = path;
      held.latents_replace = own;
      return;
    }
  }
}

std::string state_path(const Job& job, const std::string& name) {
  const std::size_t longest = longest_name(job.video) - std::strlen(kStateEnding) - 1;
  const std::string file = fmt::format(".{}{}", first_characters(name, longest), kStateEnding);
  return (fs::path(job.video).parent_path() / file).string();
}

std::string name_of_sampling(const Job& job, int number) {
  const std::string seed = job.seed_drawn ? "" : std::to_string(job.seed);
  std::string sampled = fmt::format("{}\n{}\n{}x{} {} {} {} {} {} {}\n{}\n{}", job.prompt,
                                    job.negative_prompt, job.width, job.height, job.frames, job.steps,
                                    job.sampler, job.guidance, job.shift, seed, job.noise, job.context);
  for (const LoraChoice& lora : job.loras) sampled += fmt::format("\n{} {}", lora.path, lora.strength);
  return fmt::format("{}-{}{}", slug_of(job.prompt), fingerprint(sampled).substr(0, kHashDigits),
                     number == 1 ? "" : fmt::format("-{}", number));
}

void check_state(const std::string& path, const std::vector<Output>& outputs,
                 const std::vector<InputFile>& inputs) {
  if (path.empty()) return;
  for (const Output& output : outputs) {
    if (Reservation::key_of(output.path) == Reservation::key_of(path))
      throw UserError(fmt::format("run.state {}: this run writes its {} there; accepted: another name", path,
                                  output.what));
  }
  check_no_input("run.state", path, inputs);
}

}  // namespace

StateName hold_state(const Options& options, const Job& job) {
  if (!options.run.state.empty()) {
    check_can_write(options.run.state, true);
    check_name(options.run.state);
    StateName name{options.run.state, Reservation::take(options.run.state)};
    if (name.held) return name;
    throw UserError(
        fmt::format("run.state {}: another run is writing it; accepted: another name", name.path));
  }
  // The video's name is held.
  if (!options.job.out.empty() || !options.job.name.empty())
    return {state_path(job, fs::path(job.video).filename().string())};
  StateName first;
  for (int number = 1; number <= kMostStates; ++number) {
    StateName name{state_path(job, name_of_sampling(job, number))};
    name.held = Reservation::take(name.path);
    if (!name.held) continue;
    std::error_code error;
    if (fs::exists(fs::symlink_status(name.path, error))) return name;
    if (first.path.empty()) first = std::move(name);
  }
  if (first.path.empty())
    throw UserError("run.state: many runs of these options are at work; it needs a name");
  return first;
}

void name_outputs(Job& job, const JobOptions& options) {
  job.fps = options.fps.value_or(job.fps);
  job.out_scale = options.out_scale;
  job.overwrite = options.overwrite;
  job.save = options.save;
  check_values(job);
  const auto [stem, extension] = wanted_name(job, options);
  job.codec = choose_codec({.width = static_cast<int>(job.width),
                            .height = static_cast<int>(job.height),
                            .fps = job.fps,
                            .scale = job.out_scale},
                           lower(extension));
  const bool as_asked = lower(extension) == job.codec.extension;
  if (lower(extension) == ".mp4" && !as_asked) {
    spdlog::warn("no MP4 encoder here: the video becomes {}{}", shown(stem, std::string::npos),
                 job.codec.extension);
  }
  job.video = stem + (as_asked ? extension : job.codec.extension);
  job.sheet = stem + ".png";
  job.record = stem + ".json";
  for (const std::string& path : {job.video, job.sheet, job.record, job.save}) {
    if (path.empty()) continue;
    check_can_write(path, job.overwrite);
    check_name(path);
  }
  check_free_space(job.video, most_output_bytes(job));
  if (!job.save.empty()) check_free_space(job.save, most_output_bytes(job));
}

std::uint64_t most_output_bytes(const Job& job) {
  const auto pixels = static_cast<std::uint64_t>(job.width * job.height * job.frames);
  const auto scale = static_cast<std::uint64_t>(job.out_scale);
  std::uint64_t latent = sizeof(float);
  for (const std::int64_t extent : job.latent_shape) latent *= static_cast<std::uint64_t>(extent);
  const std::uint64_t sheet_and_record = 8'000'000;
  // Y4M takes 1.5 bytes per pixel; an H.264 file at this quality less than half a byte.
  const std::uint64_t video = pixels * scale * scale * (job.codec.encoder == "y4m" ? 3 : 1) / 2;
  return sheet_and_record + latent + video + (job.save.empty() ? 0 : 2 * latent + pixels * 3);
}

HeldNames hold_names(const Options& options, const Job& job) {
  const std::vector<Output> outputs = outputs_of(job, options.trace_file);
  if (!options.trace_file.empty()) {
    check_can_write(options.trace_file, true);
    check_name(options.trace_file);
  }
  const std::vector<InputFile> inputs = inputs_of(options, job);
  if (job.latents.empty()) check_state(options.run.state, outputs, inputs);
  HeldNames held;
  for (const Output& output : outputs) {
    hold(held, output, outputs);
    check_no_input(output.what, output.path, inputs);
  }
  if (!job.latents.empty()) return held;
  hold_latents(held, options, job);
  return held;
}

}  // namespace ferry::worker
