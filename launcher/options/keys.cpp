#include "launcher/options/keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "base/text/shown.h"
#include "launcher/options/loras.h"
#include "launcher/options/value.h"
#include "model/sampler/names.h"
#include "model/text/unicode.h"
#include "worker/roles.h"

namespace ferry::launcher {
namespace {

using Set = std::function<void(const std::string& flag, const std::string& value)>;

constexpr double kAnyPositive = 1e9;
constexpr double kLeastGuidance = 1;
constexpr double kMostGuidance = 1000;

void check_utf8(const std::string& flag, const std::string& value) {
  const std::size_t bad = model::first_not_utf8(value);
  if (bad == std::string::npos) return;
  throw UserError(fmt::format("{}: not UTF-8 text: byte 0x{:02x} at position {}", flag,
                              static_cast<unsigned char>(value[bad]), bad + 1));
}

template <typename Target>
Set text(Target& target) {
  return [&target](const std::string& flag, const std::string& value) {
    check_utf8(flag, value);
    target = value;
  };
}

Set path(std::string& target) {
  return [&target](const std::string& flag, const std::string& value) { target = to_path(flag, value); };
}

Set paths(std::vector<std::string>& targets) {
  return [&targets](const std::string& flag, const std::string& value) {
    targets.push_back(to_path(flag, value));
  };
}

Set word(std::string& target) {
  return [&target](const std::string& flag, const std::string& value) {
    if (value.empty()) throw UserError(flag + ": the value is empty");
    target = value;
  };
}

// A path stored in the record and sent to other ranks with it.
Set recorded_path(std::string& target) {
  return [set = path(target)](const std::string& flag, const std::string& value) {
    check_utf8(flag, value);
    set(flag, value);
  };
}

Set choice(std::string& target, std::vector<std::string> words) {
  return [&target, words = std::move(words)](const std::string& flag, const std::string& value) {
    target = words[to_choice(flag, value, words)];
  };
}

template <typename Target>
Set integer(Target& target, std::int64_t least, std::int64_t most = INT32_MAX) {
  return [&target, least, most](const std::string& flag, const std::string& value) {
    target = static_cast<int>(to_integer(flag, value, least, most));
  };
}

template <typename Target>
Set number(Target& target, double least, double most) {
  return [&target, least, most](const std::string& flag, const std::string& value) {
    target = to_number(flag, value, least, most);
  };
}

Set numbers(std::vector<double>& targets, double least, double most) {
  return [&targets, least, most](const std::string& flag, const std::string& value) {
    targets.push_back(to_number(flag, value, least, most));
  };
}

Set boolean(bool& target) {
  return [&target](const std::string& flag, const std::string& value) { target = to_bool(flag, value); };
}

// The model decides which sizes and lengths are valid (worker/job/resolve.h).
Set size(worker::JobOptions& job) {
  return [&job](const std::string& flag, const std::string& value) {
    std::tie(job.width, job.height) = to_size(flag, value);
  };
}

Set sampler(worker::JobOptions& job) {
  return [&job](const std::string& flag, const std::string& value) {
    const std::vector<std::string> names = model::sampler_names();
    job.sampler = names[to_choice(flag, value, names)];
  };
}

Set guidance(worker::JobOptions& job) {
  return [&job](const std::string& flag, const std::string& value) {
    if (to_number(flag, value, -kAnyPositive, kAnyPositive) < kLeastGuidance) {
      throw UserError(fmt::format("{}: {} is out of range; accepted: from {} to {}; 1 turns guidance off",
                                  flag, shown(value), kLeastGuidance, kMostGuidance));
    }
    job.guidance = to_number(flag, value, kLeastGuidance, kMostGuidance);
  };
}

Set cfg_mode(parallel::Options& options) {
  return [&options](const std::string& flag, const std::string& value) {
    // ComfyUI's cfg is a number.
    if (value.find_first_not_of("0123456789.") == std::string::npos && !value.empty()) {
      throw UserError(fmt::format("{}: '{}' is not known; accepted: {}; did you mean --guidance {}?", flag,
                                  shown(value), words_text<parallel::CfgMode>(), shown(value)));
    }
    options.cfg = to_enum<parallel::CfgMode>(flag, value);
  };
}

Set exchange(parallel::Options& options) {
  return [&options](const std::string& flag, const std::string& value) {
    options.exchange = to_enum<parallel::ExchangeBy>(flag, value);
  };
}

Set keep(worker::RunOptions& run) {
  return [&run](const std::string& flag, const std::string& value) {
    run.keep = to_enum<worker::Keep>(flag, value);
  };
}

// Per flag: key, flag without group, placeholder, help, default.
FlagGroup model_group(worker::ModelOptions& m) {
  FlagGroup group = {
      "[model]",
      {{"model.path", "model", "DIR", "checkpoint folder, official or diffusers layout", "", false,
        path(m.path)},
       {"model.device", "device", "NAME", "auto, cpu or cuda", m.device, false,
        choice(m.device, {"auto", "cpu", "cuda"})},
       {"model.dtype", "dtype", "TYPE", "arithmetic of the DiT and the text encoder: bf16, fp32", m.dtype,
        false, choice(m.dtype, {"bf16", "fp32"})},
       {"model.vae_dtype", "vae_dtype", "TYPE", "arithmetic of the VAE: fp32, bf16", m.vae_dtype, false,
        choice(m.vae_dtype, {"fp32", "bf16"})},
       {"model.unexpected", "unexpected", "WHAT",
        "tensors and settings that the network would leave out: refuse, skip (and say so)", m.unexpected,
        false, choice(m.unexpected, {"refuse", "skip"})}}};
  for (const worker::RoleEntry& entry : worker::roles()) {
    Flag flag = dict_key(entry.name, entry.title, &entry == worker::roles().data());
    flag.set = word(m.key[entry.role]);
    group.flags.push_back(std::move(flag));
  }
  return group;
}

FlagGroup job_group(worker::JobOptions& j) {
  const std::string model = "the model's";
  const auto seed = [&j](const std::string& flag, const std::string& v) {
    j.seed = to_integer(flag, v, -1, INT64_MAX);
  };
  return {
      "[job]",
      {{"job.prompt", "prompt", "TEXT", "what to make", "", false, text(j.prompt)},
       {"job.negative_prompt", "negative_prompt", "TEXT", "what to avoid; may be empty", model, false,
        text(j.negative_prompt)},
       {"job.size", "size", "WxH", "pixels, multiples of 16", model, false, size(j)},
       {"job.frames", "frames", "N", "4n+1", model, false, integer(j.frames, 1, 100000)},
       {"job.steps", "steps", "N", "denoising steps", model, false, integer(j.steps, 1, 1000)},
       {"job.sampler", "sampler", "NAME", fmt::format("{}", fmt::join(model::sampler_names(), ", ")), model,
        false, sampler(j)},
       {"job.guidance", "guidance", "G", "at least 1; 1: off, without the negative prompt's branch", model,
        false, guidance(j)},
       {"job.shift", "shift", "S", "shift of the noise schedule", model, false, number(j.shift, 1e-3, 1000)},
       {"job.seed", "seed", "N", "-1: drawn, and recorded", "-1", false, seed},
       {"job.noise", "noise", "FILE", "safetensors, tensor `noise` [C,T,h,w], in place of the seed's", "",
        false, recorded_path(j.noise)},
       {"job.noise_device", "noise_device", "NAME", "whose generator draws the noise: auto, cpu, cuda",
        j.noise_device, false, choice(j.noise_device, {"auto", "cpu", "cuda"})},
       {"job.context", "context", "FILE",
        "safetensors, tensors `positive` and `negative` [L,D], in place of the text encoder", "", false,
        recorded_path(j.context)},
       {"job.latents", "latents", "FILE",
        "safetensors, tensor `latents` [C,T,h,w]: only decodes it; needs nothing but the VAE", "", false,
        recorded_path(j.latents)},
       {"job.fps", "fps", "N", "frames a second of the file", model, false, number(j.fps, 0.1, 1000)},
       {"job.out", "out", "FILE", "the video; its contact sheet and record lie beside it",
        "made from prompt and seed", false, recorded_path(j.out)},
       {"job.out_scale", "out_scale", "N", "each pixel becomes N x N in the video", "1", false,
        integer(j.out_scale, 1, 16)},
       {"job.save", "save", "FILE", "safetensors to write: `latents`, and `frames` uint8 [F,H,W,3]", "",
        false, recorded_path(j.save)},
       {"job.overwrite", "overwrite", "", "replace files that exist", "false", true, boolean(j.overwrite)}}};
}

FlagGroup parallel_group(parallel::Options& p) {
  return {"[parallel]",
          {{"parallel.ulysses", "ulysses", "N", "ranks that share one video's tokens; 0: all that are left",
            "0", false, integer(p.ulysses, 0)},
           {"parallel.cfg", "cfg", "MODE",
            "the two guidance branches: auto, serial, paired (block by block), parallel", "auto", false,
            cfg_mode(p)},
           {"parallel.exchange", "", "HOW", "between GPUs of one node: auto, nccl, copy (by copy engines)",
            "auto", false, exchange(p)},
           {"parallel.split_vae", "split_vae", "BOOL",
            "every rank decodes its rows of each frame; false: the first decodes alone", "true", false,
            boolean(p.split_vae)},
           {"parallel.data", "data", "N", "videos of --jobs at a time; 0: what is left of the ranks", "1",
            false, integer(p.data, 0)}}};
}

std::vector<Flag> lora_keys(worker::LoraOptions& o) {
  return {
      {"lora.path", "", "PATH", "safetensors file or its folder, added to the DiT's weights; repeats", "",
       false, paths(o.paths), true},
      {"lora.strength", "", "S", "factor of what a LoRA adds: one for all, or one each, in order", "1", false,
       numbers(o.strengths, -kMostStrength, kMostStrength), true},
      {"lora.unmatched", "", "WHAT", "tensors of a LoRA that do not fit the DiT: refuse, skip (and say so)",
       o.unmatched, false, choice(o.unmatched, {"refuse", "skip"})}};
}

FlagGroup run_group(worker::Options& o) {
  FlagGroup group = {
      "[run] [trace] [attention] [lora]",
      {{"run.jobs", "jobs", "FILE",
        "JSON lines: a video for each, with keys of [job] and an id; -: standard input", "", false,
        path(o.run.jobs)},
       {"run.dry_run", "", "", "check everything, make nothing", "false", true, boolean(o.run.dry_run)},
       {"run.log_level", "", "LEVEL", "debug, info, warning, error, off", o.run.log_level, false,
        choice(o.run.log_level, {"debug", "info", "warning", "error", "off"})},
       {"run.deadline_s", "", "S", "a rank without a sign for longer is reported and ends the job",
        fmt::format("{:g}", o.run.deadline_s), false, number(o.run.deadline_s, 1, kAnyPositive)},
       {"run.state", "", "FILE",
        "where an unfinished run is kept: after SIGTERM or SIGUSR1, and by save_every", "beside `out`", false,
        recorded_path(o.run.state)},
       {"run.save_every", "", "N", "save the state every N steps; 0: only when told to stop", "0", false,
        integer(o.run.save_every, 0, 1000)},
       {"run.resume", "", "BOOL", "go on from a state that is there; false: ignore and replace it", "true",
        false, boolean(o.run.resume)},
       {"run.keep", "", "WHICH",
        "host copies of weights that stay between videos: one, all, auto (what fits)", "auto", false,
        keep(o.run)},
       {"run.machine", "machine", "FILE",
        "rates by which offload type auto chooses: of ferry bench calibrate, or h100, h200, pcie; none",
        "built in for the GPU", false, path(o.run.machine)},
       {"trace.file", "", "FILE", "lanes of compute and copies for Perfetto", "", false, path(o.trace_file)},
       {"attention.impl", "", "NAME", "the DiT's attention: auto, cudnn, flash, math, fa3", "auto", false,
        choice(o.attention.impl, {"auto", "cudnn", "flash", "math", "fa3"})},
       {"attention.fa3", "", "FILE", "the library of fa3-fwd, where it is not beside LibTorch", "", false,
        path(o.attention.fa3)}}};
  for (Flag& flag : lora_keys(o.lora)) group.flags.push_back(std::move(flag));
  return group;
}

}  // namespace

Flag dict_key(std::string_view word, std::string_view title, bool first) {
  return {.key = fmt::format("model.{}_key", word),
          .short_form = fmt::format("{}_key", word),
          .value_name = "KEY",
          .help = first ? fmt::format("of a .pth file that holds several networks: the {}'s", title)
                        : fmt::format("the same for the {}", title)};
}

std::vector<FlagGroup> run_keys(worker::Options& options) {
  std::vector<offload::Options*> all;
  for (offload::Options& each : options.offload) all.push_back(&each);
  std::vector<FlagGroup> groups = {model_group(options.model),
                                   job_group(options.job),
                                   parallel_group(options.parallel),
                                   {"[offload], for every stage", offload_keys("offload", all)},
                                   run_group(options)};
  FlagGroup stages{"", {}, false};
  for (const worker::RoleEntry& entry : worker::roles()) {
    stages.title += fmt::format("{}[{}]", stages.title.empty() ? "" : " ", entry.name);
    const std::string prefix = std::string(entry.name) + ".offload";
    for (Flag& flag : offload_keys(prefix, {&options.offload[entry.role]})) {
      stages.flags.push_back(std::move(flag));
    }
  }
  stages.title += ": the same for one stage, as in --dit.offload.type async";
  groups.push_back(std::move(stages));
  return groups;
}

bool is_stage_key(const std::string& key) { return key.find(".offload.") != std::string::npos; }

bool is_decoding_default(const std::string& key) { return key == "model.vae_dtype" || key == "job.fps"; }

bool is_model_default(const std::string& key) {
  const std::vector<std::string> allowed = {
      "model.dtype", "model.vae_dtype", "job.negative_prompt", "job.size",  "job.frames",
      "job.steps",   "job.sampler",     "job.guidance",        "job.shift", "job.fps"};
  return std::find(allowed.begin(), allowed.end(), key) != allowed.end();
}

}  // namespace ferry::launcher
